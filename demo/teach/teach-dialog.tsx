import { useEffect, useRef } from "preact/hooks";
import { Dialog } from "../dialog.js";
import { FaultView } from "../fault-view.js";
import { Field } from "../field.js";
import { inTime } from "../quantities.js";
import { model } from "../talk/model.js";
import { ExampleList } from "./example-list.js";
import { LossCurve } from "./loss-curve.js";
import { Learnt, Outcome } from "./outcome.js";
import { isRunning, labelled, type Run, run, type Settings, settings, stop, teach } from "./teaching.js";
import "./teach.css";

const LEAST_EXAMPLES = 2;

/** Teaches the loaded model: pictures with their right answers, training with the loss as it falls, and answers before and after. */
export function TeachDialog({ onClose }: { onClose: () => void }) {
  const { taught, held } = labelled.value;
  const isShort = taught.length < LEAST_EXAMPLES;
  return (
    <Dialog title="Teach the model" onClose={onClose}>
      <p>
        Add pictures and write the right answer to each. Training makes an adapter (LoRA) on this machine; the model
        itself stays as it is. Every fourth picture of an answer is held out for a test.
      </p>
      <ExampleList />
      <details>
        <summary>Training options</summary>
        <div class="teach-options">
          <NumberField name="steps" label="Steps" hint="One picture each." min={1} max={10_000} step={1} />
          <NumberField name="rank" label="Rank" hint="Size of the adapter." min={1} max={128} step={1} />
          <NumberField
            name="learningRate"
            label="Learning rate"
            hint="Smaller if the loss grows."
            min={0}
            max={1}
            step="any"
          />
        </div>
      </details>
      <p class="row">
        {isRunning.value ? (
          <button type="button" class="danger" onClick={stop}>
            Stop
          </button>
        ) : (
          <button type="button" class="primary" disabled={isShort || !model.value} onClick={() => void teach()}>
            {run.value?.phase === "done" ? "Teach again" : "Teach"}
          </button>
        )}
        <span class="small muted">{reasonOf(taught.length, held.length)}</span>
      </p>
      {run.value && <Progress run={run.value} />}
    </Dialog>
  );
}

function reasonOf(taught: number, held: number): string {
  if (!model.value) return "A model must be loaded first.";
  if (taught < LEAST_EXAMPLES) return `At least ${LEAST_EXAMPLES} pictures need an answer.`;
  return `${taught} pictures to learn from, ${held} to test with.`;
}

function Progress({ run }: { run: Run }) {
  const { phase, steps, losses, error } = run;
  const status = useRef<HTMLParagraphElement>(null);
  // It is below the list of examples.
  useEffect(() => {
    if (phase === "asking" || phase === "done") status.current!.scrollIntoView({ block: "start" });
  }, [phase]);
  return (
    <>
      <p ref={status} role="status" data-phase={phase}>
        {statusOf(run)}
      </p>
      {phase === "training" && <progress max={steps} value={losses.length} aria-label="Steps" />}
      <LossCurve losses={losses} steps={steps} />
      {error !== undefined && <FaultView error={error} />}
      <Outcome run={run} />
      {phase === "done" && <Learnt run={run} />}
    </>
  );
}

function statusOf({ phase, steps, losses, secondsLeft, tested }: Run): string {
  switch (phase) {
    case "asking":
      return `Asking before training: picture ${tested.length + 1}.`;
    case "training":
      return losses.length === 0
        ? "Preparing the first step."
        : `Step ${losses.length} of ${steps}, loss ${losses.at(-1)!.toFixed(3)}, about ${inTime(secondsLeft ?? 0)} left.`;
    case "checking":
      return `Asking after training: ${tested.filter(({ after }) => after !== undefined).length} of ${tested.length}.`;
    case "done":
      return `Done: ${losses.length} steps, the loss fell from ${losses[0]?.toFixed(2)} to ${losses.at(-1)?.toFixed(2)}.`;
    case "failed":
      return "Training ended with an error.";
  }
}

interface NumberFieldProps {
  readonly name: keyof Settings;
  readonly label: string;
  readonly hint: string;
  readonly min: number;
  readonly max: number;
  readonly step: number | "any";
}

function NumberField({ name, label, hint, min, max, step }: NumberFieldProps) {
  return (
    <Field label={label} hint={hint}>
      {(id) => (
        <input
          id={id}
          type="number"
          min={min}
          max={max}
          step={step}
          value={settings.value[name]}
          disabled={isRunning.value}
          onChange={({ currentTarget }) => {
            const given = currentTarget.valueAsNumber;
            const within = Math.min(max, Math.max(min, Number.isNaN(given) ? settings.value[name] : given));
            const value = step === 1 ? Math.round(within) : within;
            currentTarget.value = String(value);
            settings.value = { ...settings.value, [name]: value };
          }}
        />
      )}
    </Field>
  );
}
