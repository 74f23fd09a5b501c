import { useSignal } from "@preact/signals";
import { Camera as CameraIcon, MonitorUp, Paperclip, SendHorizontal, SlidersHorizontal, Square } from "lucide";
import { useRef } from "preact/hooks";
import { FaultText } from "../fault-view.js";
import { Icon } from "../icon.js";
import { AttachmentView } from "./attachment.js";
import { askedAt, busy, stop, usedTokens } from "./conversation.js";
import { edited, unedit } from "./current.js";
import {
  attach,
  attachments,
  cancelSend,
  canSend,
  fault,
  measurement,
  overTokens,
  queued,
  refused,
  send,
  text,
} from "./draft.js";
import { Live } from "./live.js";
import { model } from "./model.js";
import { schema } from "./settings.js";
import { SettingsDialog } from "./settings-dialog.js";
import { TinyNotice } from "./tiny-notice.js";
import { WebAddress } from "./web-address.js";

const ACCEPTED =
  "image/png,image/jpeg,image/webp,image/gif,image/avif,video/mp4,video/quicktime,video/webm,video/x-matroska,.mov,.m4v,.mkv";

const DOUBLE_CLICK_MS = 300;

/** Form for the question: pictures and clips, text, options, and the number of tokens. */
export function Composer({ onModels }: { onModels: () => void }) {
  const picker = useRef<HTMLInputElement>(null);
  const live = useSignal<"camera" | "screen" | undefined>(undefined);
  const options = useSignal(false);
  return (
    <>
      <form
        class="composer card"
        aria-label="Your question"
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        <div class="above stack">
          <WebAddress />
          {edited.value !== undefined && (
            <p class="notice small row" role="status">
              <span class="grow">
                You are editing a question in a new branch. The conversation as it was stays under Conversations.
              </span>
              <button type="button" onClick={() => void unedit()}>
                Cancel
              </button>
            </p>
          )}
          {attachments.value.length > 0 && (
            <ul class="attachments" aria-label="Pictures and clips of the question">
              {attachments.value.map((attachment) => (
                <li key={attachment.id}>
                  <AttachmentView attachment={attachment} />
                </li>
              ))}
            </ul>
          )}
          <TinyNotice onModels={onModels} />
          {refused.value.length > 0 && (
            <p class="fault small row" role="alert">
              <span class="grow">
                {refused.value.join(", ")} {refused.value.length === 1 ? "is" : "are"} not a picture or clip.
              </span>
              <button type="button" class="quiet" onClick={() => (refused.value = [])}>
                Dismiss
              </button>
            </p>
          )}
          {fault.value !== undefined && <FaultText fault={fault.value} />}
          {overTokens.value > 0 && (
            <p class="fault small" role="alert">
              The question is {overTokens.value.toLocaleString("en")} tokens over the model's context: shorten it, or
              take fewer pictures or frames.
            </p>
          )}
          {schema.value.fault !== undefined && (
            <p class="fault small" role="alert">
              The JSON schema under Options can't be used. {schema.value.fault}
            </p>
          )}
        </div>
        <textarea
          id="question"
          aria-label="Question"
          rows={1}
          placeholder="Ask about pictures or clips: drop, paste or add them"
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Escape") void unedit();
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            send();
          }}
        />
        <div class="row actions">
          <button type="button" class="quiet" onClick={() => picker.current?.click()}>
            <Icon of={Paperclip} />
            <span class="label">Add files</span>
          </button>
          <input
            ref={picker}
            type="file"
            multiple
            hidden
            aria-label="Pictures and clips"
            accept={ACCEPTED}
            onChange={({ currentTarget }) => {
              void attach([...(currentTarget.files ?? [])]);
              currentTarget.value = "";
            }}
          />
          <button type="button" class="quiet" onClick={() => (live.value = "camera")} aria-haspopup="dialog">
            <Icon of={CameraIcon} />
            <span class="label">Camera</span>
          </button>
          {"getDisplayMedia" in (navigator.mediaDevices ?? {}) && (
            <button type="button" class="quiet" onClick={() => (live.value = "screen")} aria-haspopup="dialog">
              <Icon of={MonitorUp} />
              <span class="label">Screen</span>
            </button>
          )}
          <button type="button" class="quiet" onClick={() => (options.value = true)} aria-haspopup="dialog">
            <Icon of={SlidersHorizontal} />
            <span class="label">Options</span>
          </button>
          <span class="space" />
          {queued.value && (
            <span class="small muted busy" role="status">
              {model.value ? "Measuring first" : "Asked as soon as the model is ready"}{" "}
              <button type="button" class="quiet" onClick={cancelSend}>
                Cancel
              </button>
            </span>
          )}
          <Tokens />
          {busy.value ? (
            <button
              type="button"
              class="primary"
              onClick={({ detail }) => {
                // The second half of a double click on Ask, which was here.
                if (detail === 0 || performance.now() - askedAt > DOUBLE_CLICK_MS) stop();
              }}
            >
              <Icon of={Square} />
              Stop
            </button>
          ) : (
            <button type="submit" class="primary" disabled={!canSend.value}>
              <Icon of={SendHorizontal} />
              <span class="label">Ask</span>
            </button>
          )}
        </div>
      </form>
      {live.value !== undefined && <Live source={live.value} onClose={() => (live.value = undefined)} />}
      {options.value && <SettingsDialog onClose={() => (options.value = false)} />}
    </>
  );
}

/** Number of tokens of the draft, or of the conversation if there is no draft. */
function Tokens() {
  const context = model.value?.contextTokens;
  const taken = measurement.value?.promptTokens ?? usedTokens.value;
  if (context === undefined || taken === undefined) return null;
  return (
    <span class={`small tokens ${overTokens.value > 0 ? "danger" : "muted"}`} data-tokens={taken}>
      {taken.toLocaleString("en")}
      <span class="of"> of {context.toLocaleString("en")}</span> tokens
    </span>
  );
}
