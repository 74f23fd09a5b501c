import type { BenchType } from "ocellus/bench";
import {
  choose,
  chosen,
  dtypes,
  jobs,
  run,
  running,
  SETS,
  type SetName,
  seconds,
  stage,
  stop,
  workloads,
} from "./run.js";

const SET_LABELS: Readonly<Record<SetName, string>> = {
  quick: "Quick",
  kernels: "All kernels",
  comparison: "Comparison with other engines",
};
const TYPES: readonly BenchType[] = ["f32", "f16", "bf16", "q8", "q4"];

/** Form for the workloads, storage dtypes and duration. */
export function Choice() {
  return (
    <section class="card stack" aria-labelledby="choice">
      <h2 id="choice">Workloads</h2>
      <div class="row">
        {SETS.map((set) => (
          <button key={set} type="button" onClick={() => choose(set)} disabled={running.value}>
            {SET_LABELS[set]}
          </button>
        ))}
        <button type="button" onClick={() => (chosen.value = new Set())} disabled={running.value}>
          None
        </button>
      </div>
      <fieldset class="workloads" disabled={running.value}>
        <legend class="sr-only">Workloads</legend>
        {workloads.value.map(({ name, what, shape }) => (
          <label key={name} title={what}>
            <input
              type="checkbox"
              checked={chosen.value.has(name)}
              onChange={({ currentTarget }) => {
                const next = new Set(chosen.value);
                if (currentTarget.checked) next.add(name);
                else next.delete(name);
                chosen.value = next;
              }}
            />
            <span>
              {name} <span class="muted small">{shape}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <fieldset class="row types" disabled={running.value}>
        <legend>Storage dtype</legend>
        {TYPES.map((type) => (
          <label key={type}>
            <input
              type="checkbox"
              checked={dtypes.value.includes(type)}
              onChange={({ currentTarget }) => {
                const { checked } = currentTarget;
                dtypes.value = TYPES.filter((other) => (other === type ? checked : dtypes.value.includes(other)));
              }}
            />
            {type}
          </label>
        ))}
        <label>
          Seconds for each{" "}
          <input
            type="number"
            min={0.1}
            max={30}
            step={0.1}
            value={seconds.value}
            onChange={({ currentTarget }) => {
              seconds.value = Math.min(30, Math.max(0.1, currentTarget.valueAsNumber || 1));
            }}
          />
        </label>
      </fieldset>
      <div class="row">
        {running.value ? (
          <button type="button" class="primary" onClick={stop}>
            Stop
          </button>
        ) : (
          <button type="button" class="primary" onClick={run} disabled={jobs.value.length === 0}>
            Run {jobs.value.length}
          </button>
        )}
        <p class="small muted" role="status">
          {stage.value && `${stage.value.text} (${stage.value.done} of ${stage.value.total} done)`}
        </p>
      </div>
      {stage.value && <progress aria-label="Workloads done" value={stage.value.done} max={stage.value.total} />}
    </section>
  );
}
