import { Dialog } from "../dialog.js";
import { Field } from "../field.js";
import { MOST_FRAMES } from "./media.js";
import { change, DEFAULTS, type ImageMode, schema, settings } from "./settings.js";

const MODES: readonly { readonly value: ImageMode; readonly label: string }[] = [
  { value: "auto", label: "Automatic: one picture in tiles, several as one tile each" },
  { value: "anyres", label: "Every picture in tiles: sees small details" },
  { value: "pad", label: "Every picture as one tile: fastest" },
];

/** What holds for all questions: system prompt, sampling, and the form of answers. */
export function SettingsDialog({ onClose }: { onClose: () => void }) {
  const { system, maxNewTokens, temperature, topP, seed, stop, imageMode, frames } = settings.value;
  const isGreedy = temperature === 0;
  return (
    <Dialog title="Options" onClose={onClose}>
      <Field label="System prompt" hint="Instructions that precede the conversation.">
        {(id) => (
          <textarea
            id={id}
            rows={2}
            value={system}
            onInput={({ currentTarget }) => change({ system: currentTarget.value })}
          />
        )}
      </Field>
      <Field label="Answer length limit" hint="In tokens; a word is one or two.">
        {(id) => (
          <Whole id={id} value={maxNewTokens} min={1} max={4096} fallback={DEFAULTS.maxNewTokens} name="maxNewTokens" />
        )}
      </Field>
      <Field
        label={`Temperature: ${isGreedy ? "0 (greedy decoding)" : temperature}`}
        hint="0 always takes the most likely token; higher values vary more."
      >
        {(id) => (
          <input
            id={id}
            type="range"
            min={0}
            max={2}
            step={0.1}
            value={temperature}
            onInput={({ currentTarget }) => change({ temperature: currentTarget.valueAsNumber })}
          />
        )}
      </Field>
      <Field label={`Top-p: ${topP}`} hint="Samples from the most likely tokens that together have this probability.">
        {(id) => (
          <input
            id={id}
            type="range"
            min={0.05}
            max={1}
            step={0.05}
            value={topP}
            disabled={isGreedy}
            onInput={({ currentTarget }) => change({ topP: currentTarget.valueAsNumber })}
          />
        )}
      </Field>
      <Field label="Random seed" hint="The same seed gives the same answer again; empty for another one each time.">
        {(id) => (
          <input
            id={id}
            type="number"
            min={0}
            step={1}
            value={seed ?? ""}
            disabled={isGreedy}
            onChange={({ currentTarget }) => {
              const value = Math.floor(currentTarget.valueAsNumber);
              change({ seed: Number.isSafeInteger(value) && value >= 0 ? value : undefined });
            }}
          />
        )}
      </Field>
      <Field label="Stop sequences" hint="One a line; an answer ends before the first of them.">
        {(id) => (
          <textarea
            id={id}
            rows={2}
            value={stop}
            onInput={({ currentTarget }) => change({ stop: currentTarget.value })}
          />
        )}
      </Field>
      <Field label="JSON schema" hint="Answers are JSON of this form. Empty for plain text.">
        {(id) => (
          <textarea
            id={id}
            rows={3}
            class="code"
            spellcheck={false}
            placeholder={
              '{ "type": "object", "properties": { "count": { "type": "integer" } }, "required": ["count"] }'
            }
            value={settings.value.schema}
            onInput={({ currentTarget }) => change({ schema: currentTarget.value })}
          />
        )}
      </Field>
      {schema.value.fault !== undefined && (
        <p class="fault small" role="alert">
          {schema.value.fault}
        </p>
      )}
      <Field label="Pictures" hint="More tiles show more detail and take more tokens and time.">
        {(id) => (
          <select
            id={id}
            value={imageMode}
            onChange={({ currentTarget }) => change({ imageMode: currentTarget.value as ImageMode })}
          >
            {MODES.map(({ value, label }) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field
        label="Frames of a clip"
        hint={`Evenly spaced; at most ${MOST_FRAMES}. Each clip has its own number as well.`}
      >
        {(id) => <Whole id={id} value={frames} min={1} max={MOST_FRAMES} fallback={DEFAULTS.frames} name="frames" />}
      </Field>
      <div class="row">
        <button type="button" onClick={() => change(DEFAULTS)}>
          Reset all
        </button>
      </div>
    </Dialog>
  );
}

interface WholeProps {
  readonly id: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly fallback: number;
  readonly name: "maxNewTokens" | "frames";
}

/** A whole number within limits. */
function Whole({ id, value, min, max, fallback, name }: WholeProps) {
  return (
    <input
      id={id}
      type="number"
      min={min}
      max={max}
      step={1}
      value={value}
      onChange={({ currentTarget }) => {
        const given = Math.round(currentTarget.valueAsNumber || fallback);
        const within = Math.min(max, Math.max(min, given));
        currentTarget.value = String(within);
        change({ [name]: within });
      }}
    />
  );
}
