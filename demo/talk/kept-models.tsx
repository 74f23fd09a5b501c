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

/** Checkpoints in this browser's storage: to load, or to delete. */
export function KeptModels({ onLoad, dtype }: { onLoad: (choice: ModelChoice) => void; dtype: StorageDtype }) {
  const kept = useSignal<readonly CachedCheckpoint[]>([]);
  const room = useSignal<Room | undefined>(undefined);
  const failed = useSignal<unknown>(undefined);
  const look = async (): Promise<void> => {
    const { cachedCheckpoints } = await import("ocellus");
    kept.value = await cachedCheckpoints();
    const { usage = 0, quota = 0 } = await navigator.storage.estimate();
    room.value = { used: usage, quota, persisted: await navigator.storage.persisted() };
  };
  const guarded = (work: Promise<void>): void => {
    failed.value = undefined;
    work.catch((error: unknown) => (failed.value = error));
  };
  const forget = async ({ name, endpoint }: CachedCheckpoint): Promise<void> => {
    const { deleteCheckpoint } = await import("ocellus");
    await deleteCheckpoint(name, { endpoint });
    await look();
  };
  useEffect(() => guarded(look()), []);
  return (
    <section class="stack" aria-label="Kept in this browser">
      <h3>Kept in this browser</h3>
      {kept.value.length === 0 && <p class="small muted">Nothing yet.</p>}
      <ul class="kept">
        {kept.value.map((checkpoint) => (
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
              {checkpoint.complete ? "Load" : "Go on"}
            </button>
            <button type="button" onClick={() => guarded(forget(checkpoint))} aria-label={`Delete ${checkpoint.name}`}>
              Delete
            </button>
          </li>
        ))}
      </ul>
      {failed.value !== undefined && <FaultView error={failed.value} />}
      {room.value && (
        <p class="small muted">
          {inBytes(room.value.used)} of {inBytes(room.value.quota)} used.{" "}
          {room.value.persisted
            ? "The browser keeps it until you delete it."
            : "The browser may delete it when the disk is full."}
        </p>
      )}
    </section>
  );
}

function choiceOf({ name, endpoint }: CachedCheckpoint, dtype: StorageDtype): ModelChoice {
  if (name === TINY.location && endpoint === TINY.options.endpoint) return TINY;
  return { label: name, location: name, options: { dtype, endpoint } };
}
