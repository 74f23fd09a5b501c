import { useSignal } from "@preact/signals";
import type { CachedCheckpoint, StorageDtype } from "ocellus";
import { useEffect } from "preact/hooks";
import { FaultView } from "../fault-view.js";
import { inBytes } from "../quantities.js";
import { type ModelChoice, TINY } from "./model.js";

interface Room {
  readonly used: number;
  readonly quota: number;
  readonly persisted: boolean;
}

/** Lists the checkpoints in this browser's storage, to load or delete them. */
export function CachedModels({ onLoad, dtype }: { onLoad: (choice: ModelChoice) => void; dtype: StorageDtype }) {
  const cached = useSignal<readonly CachedCheckpoint[]>([]);
  const room = useSignal<Room | undefined>(undefined);
  const failed = useSignal<unknown>(undefined);
  /** The checkpoint whose deletion waits for a second click. */
  const doomed = useSignal<CachedCheckpoint | undefined>(undefined);
  const refresh = async (): Promise<void> => {
    const { cachedCheckpoints } = await import("ocellus");
    cached.value = await cachedCheckpoints();
    const { usage = 0, quota = 0 } = await navigator.storage.estimate();
    room.value = { used: usage, quota, persisted: await navigator.storage.persisted() };
  };
  const guarded = (work: Promise<void>): void => {
    failed.value = undefined;
    work.catch((error: unknown) => (failed.value = error));
  };
  const remove = async ({ name, endpoint }: CachedCheckpoint): Promise<void> => {
    const { deleteCheckpoint } = await import("ocellus");
    await deleteCheckpoint(name, { endpoint });
    await refresh();
  };
  useEffect(() => guarded(refresh()), []);
  return (
    <section class="stack" aria-label="Cached in this browser">
      <h3>Cached in this browser</h3>
      {cached.value.length === 0 && <p class="small muted">No models yet.</p>}
      <ul class="cached">
        {cached.value.map((checkpoint) => (
          <li key={checkpoint.endpoint + checkpoint.name} class="row">
            <span>
              {checkpoint.name}
              <br />
              <span class="small muted">
                {checkpoint.complete
                  ? inBytes(checkpoint.totalBytes)
                  : `${inBytes(checkpoint.cachedBytes)} of ${inBytes(checkpoint.totalBytes)}`}
              </span>
            </span>
            <span class="space" />
            <button
              type="button"
              onClick={() => onLoad(choiceOf(checkpoint, dtype))}
              aria-label={`Load ${checkpoint.name}`}
            >
              {checkpoint.complete ? "Load" : "Resume"}
            </button>
            {doomed.value === checkpoint ? (
              <>
                <button
                  type="button"
                  class="danger"
                  onClick={() => guarded(remove(checkpoint))}
                  aria-label={`Delete ${checkpoint.name} now`}
                >
                  Delete {inBytes(checkpoint.cachedBytes)}
                </button>
                <button type="button" onClick={() => (doomed.value = undefined)}>
                  Keep
                </button>
              </>
            ) : (
              <button
                type="button"
                onClick={() => (doomed.value = checkpoint)}
                aria-label={`Delete ${checkpoint.name}`}
              >
                Delete
              </button>
            )}
          </li>
        ))}
      </ul>
      {failed.value !== undefined && <FaultView error={failed.value} />}
      {room.value && (
        <p class="small muted">
          {inBytes(room.value.used)} of {inBytes(room.value.quota)} used.{" "}
          {room.value.persisted
            ? "The browser stores the models until you delete them."
            : "The browser may delete the models when the disk is full."}
        </p>
      )}
    </section>
  );
}

function choiceOf({ name, endpoint }: CachedCheckpoint, dtype: StorageDtype): ModelChoice {
  if (name === TINY.location && endpoint === TINY.options.endpoint) return TINY;
  return { label: name, location: name, options: { dtype, endpoint } };
}
