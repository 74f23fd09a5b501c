import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { Dialog } from "../dialog.js";
import { FaultView } from "../fault-view.js";
import { AttachmentView } from "./attachment.js";
import { Camera } from "./camera.js";
import { busy, settings, stop, usedTokens } from "./conversation.js";
import { attach, attachments, detach, fault, measurement, queued, refused, send, text } from "./draft.js";
import { model, opening } from "./model.js";

/** Form for the question: pictures and clips, text, options, and the number of tokens. */
export function Composer() {
  const picker = useRef<HTMLInputElement>(null);
  const camera = useSignal(false);
  const options = useSignal(false);
  const empty = text.value.trim() === "" && attachments.value.length === 0;
  return (
    <>
      <form
        class="composer card stack"
        aria-label="Your question"
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        {attachments.value.length > 0 && (
          <ul class="attachments" aria-label="Pictures and clips of the question">
            {attachments.value.map((attachment) => (
              <li key={attachment.id}>
                <AttachmentView attachment={attachment} onRemove={() => detach(attachment.id)} />
              </li>
            ))}
          </ul>
        )}
        {refused.value.length > 0 && (
          <p class="fault small" role="alert">
            Neither picture nor clip: {refused.value.join(", ")}
          </p>
        )}
        {fault.value !== undefined && <FaultView error={fault.value} />}
        <textarea
          id="question"
          aria-label="Question"
          rows={2}
          placeholder="Ask about the pictures or clips. Drop, paste or add them."
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            send();
          }}
        />
        <div class="row">
          <button type="button" onClick={() => picker.current?.click()}>
            Add files
          </button>
          <input
            ref={picker}
            type="file"
            multiple
            hidden
            aria-label="Pictures and clips"
            accept="image/png,image/jpeg,image/webp,image/gif,image/avif,video/mp4,video/quicktime,video/webm,video/x-matroska,.mov,.m4v,.mkv"
            onChange={({ currentTarget }) => {
              attach(currentTarget.files ?? []);
              currentTarget.value = "";
            }}
          />
          <button type="button" onClick={() => (camera.value = true)} aria-haspopup="dialog">
            Camera
          </button>
          <button type="button" onClick={() => (options.value = true)} aria-haspopup="dialog">
            Options
          </button>
          <span class="space" />
          {queued.value && (
            <span class="small muted busy" role="status">
              Asked as soon as the model is ready{" "}
              <button type="button" class="quiet" onClick={() => (queued.value = false)}>
                Cancel
              </button>
            </span>
          )}
          <Tokens />
          {busy.value ? (
            <button type="button" class="primary" onClick={stop}>
              Stop
            </button>
          ) : (
            <button type="submit" class="primary" disabled={empty || (!model.value && !opening.value)}>
              Ask
            </button>
          )}
        </div>
      </form>
      {camera.value && <Camera onClose={() => (camera.value = false)} />}
      {options.value && <Options onClose={() => (options.value = false)} />}
    </>
  );
}

/** Number of tokens of the draft, or of the conversation if there is no draft. */
function Tokens() {
  const context = model.value?.contextTokens;
  const taken = measurement.value?.promptTokens ?? usedTokens.value;
  if (context === undefined || taken === undefined) return null;
  return (
    <span class="small muted" data-tokens={taken}>
      {taken.toLocaleString("en")} of {context.toLocaleString("en")} tokens
    </span>
  );
}

/** Options of the answer. */
function Options({ onClose }: { onClose: () => void }) {
  const { maxNewTokens, temperature } = settings.value;
  return (
    <Dialog title="Options" onClose={onClose}>
      <label>
        Answer length limit, in tokens{" "}
        <input
          type="number"
          min={1}
          max={4096}
          value={maxNewTokens}
          onChange={({ currentTarget }) => {
            const value = Math.max(1, Math.round(currentTarget.valueAsNumber || 256));
            settings.value = { ...settings.value, maxNewTokens: value };
          }}
        />
      </label>
      <label>
        Temperature {temperature === 0 ? "0 (greedy decoding)" : temperature}
        <input
          type="range"
          min={0}
          max={2}
          step={0.1}
          value={temperature}
          onInput={({ currentTarget }) => {
            settings.value = { ...settings.value, temperature: currentTarget.valueAsNumber };
          }}
        />
      </label>
    </Dialog>
  );
}
