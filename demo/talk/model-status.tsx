import { useSignal } from "@preact/signals";
import type { DownloadProgress } from "ocellus";
import { useEffect } from "preact/hooks";
import { isCode, shown } from "../fault.js";
import { FaultView } from "../fault-view.js";
import { NoWebGPU } from "../no-webgpu.js";
import { inBytes, inTime } from "../quantities.js";
import {
  adapters,
  budget,
  cancel,
  choice,
  loadedChoice,
  model,
  open,
  recoveries,
  settle,
  state,
  TINY,
  training,
  unload,
} from "./model.js";
import { DTYPES } from "./model-dialog.js";

/** State of the model: downloading, loading, ready, or why it failed. */
export function ModelStatus({ onModels }: { onModels: () => void }) {
  const now = state.value;
  return (
    <div class="model-status" data-phase={now.phase}>
      {now.phase === "starting" && <p class="muted busy">Starting the model</p>}
      {now.phase === "downloading" && <Download progress={now.progress} />}
      {now.phase === "loading" && (
        <Line label={`Loading ${choice.value.label}`} share={now.share} detail={`${Math.round(100 * now.share)} %`} />
      )}
      {now.phase === "compiling" && <p class="muted busy">Compiling {choice.value.label} for this adapter</p>}
      {now.phase === "ready" && model.value && (
        <p class="small muted">
          {choice.value.label} is ready on {model.value.adapter.name}
          {adapters.value.length > 0 && ", with the adapter that you taught it"}
          {model.value.adapter.onCPU && ", a software adapter: answers are slow"}.
          {recoveries.value > 0 && " The GPU was reset, and the model was loaded again from this browser's storage."}
        </p>
      )}
      {training.value !== undefined && <p class="small muted busy">{training.value}</p>}
      {now.phase === "reloading" && (
        <p class="small muted busy">
          The GPU was reset. Loading {choice.value.label} again: {Math.round(100 * now.share)} %
        </p>
      )}
      {now.phase === "none" && (
        <p class="row">
          No model is loaded.{" "}
          <button type="button" onClick={() => open()}>
            Load {choice.value.label}
          </button>
        </p>
      )}
      {now.phase === "failed" && <Failure error={now.error} onModels={onModels} />}
      <p class="sr-only" role="status">
        {now.phase === "ready" ? "The model is ready." : ""}
      </p>
    </div>
  );
}

function Failure({ error, onModels }: { error: unknown; onModels: () => void }) {
  if (isCode(error, "NO_ADAPTER")) return <NoWebGPU fault={shown(error)} onRetry={() => open()} />;
  const tooLarge = isCode(error, "LIMIT", "OVER_BUDGET");
  const noRoom = isCode(error, "NO_ROOM");
  const before = loadedChoice.value;
  return (
    <div data-state={tooLarge ? "too-small" : noRoom ? "no-room" : "failed"}>
      <FaultView error={error}>
        {before && (
          <button type="button" class="primary" onClick={settle}>
            Keep {before.label}
          </button>
        )}
        <button type="button" onClick={() => open()}>
          Try again
        </button>
        {before && tooLarge && (
          <button
            type="button"
            onClick={() => {
              unload();
              void open();
            }}
          >
            Unload {before.label} and try again
          </button>
        )}
        {noRoom && (
          <button type="button" onClick={onModels} aria-haspopup="dialog">
            Show cached models
          </button>
        )}
        {tooLarge &&
          DTYPES.filter(({ value }) => value !== "auto" && value !== choice.value.options.dtype).map(
            ({ value, label }) => (
              <button
                key={value}
                type="button"
                onClick={() => open({ ...choice.value, options: { ...choice.value.options, dtype: value } })}
              >
                Load in {label}
              </button>
            ),
          )}
        {budget.value !== undefined && (
          <button
            type="button"
            onClick={() => {
              budget.value = undefined;
              void open();
            }}
          >
            Load without the limit of {inBytes(budget.value)}
          </button>
        )}
        {choice.value !== TINY && before !== TINY && (
          <button type="button" onClick={() => open(TINY)}>
            Load {TINY.label}
          </button>
        )}
      </FaultView>
    </div>
  );
}

/** Time without a byte after which the page shows that it waits for the network. */
const SILENCE_MS = 3000;

function Download({ progress }: { progress: DownloadProgress }) {
  const silent = useSignal(false);
  useEffect(() => {
    silent.value = false;
    const timer = setTimeout(() => (silent.value = true), SILENCE_MS);
    return () => clearTimeout(timer);
  }, [progress]);
  const { allLoadedBytes, allTotalBytes, bytesPerSecond, secondsLeft } = progress;
  const detail = [
    `${inBytes(allLoadedBytes)} of ${inBytes(allTotalBytes)}`,
    silent.value && "waiting for the network",
    !silent.value && bytesPerSecond > 0 && `${inBytes(bytesPerSecond)}/s`,
    !silent.value && secondsLeft !== undefined && secondsLeft > 0 && `${inTime(secondsLeft)} left`,
  ];
  return (
    <Line
      label={`Downloading ${choice.value.label}`}
      share={allTotalBytes > 0 ? allLoadedBytes / allTotalBytes : 0}
      detail={detail.filter(Boolean).join(" · ")}
    />
  );
}

function Line({ label, share, detail }: { label: string; share: number; detail: string }) {
  return (
    <div class="stack small">
      <div class="row">
        <span>{label}</span>
        <span class="space" />
        <span class="muted">{detail}</span>
        <button type="button" class="quiet" onClick={cancel}>
          Cancel
        </button>
      </div>
      <progress aria-label={label} value={share} max={1} />
    </div>
  );
}
