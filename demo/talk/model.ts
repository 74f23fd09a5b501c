import { computed, signal } from "@preact/signals";
import type { DownloadProgress } from "ocellus";
import { type WorkerLoadOptions, WorkerModel } from "ocellus/worker";
import { isCode } from "../fault.js";

/** A checkpoint that the visitor chose. */
export interface ModelChoice {
  readonly label: string;
  /** A Hub id, or dropped files. */
  readonly location: string | readonly File[];
  readonly options: Pick<WorkerLoadOptions, "dtype" | "endpoint">;
}

export type ModelState =
  | { readonly phase: "none" }
  | { readonly phase: "starting" }
  | { readonly phase: "downloading"; readonly progress: DownloadProgress }
  | { readonly phase: "loading"; readonly share: number }
  | { readonly phase: "ready"; readonly model: WorkerModel }
  | { readonly phase: "failed"; readonly error: unknown };

/** The embedded checkpoint, from the hub of plain files beside the page. */
export const TINY: ModelChoice = {
  label: "Tiny (embedded)",
  location: "ocellus/tiny",
  options: { endpoint: new URL("hub", document.baseURI).href },
};

/** Bytes of graphics memory that a model may use; undefined for no limit. */
export const budget = signal<number | undefined>(undefined);
export const state = signal<ModelState>({ phase: "none" });
export const choice = signal<ModelChoice>(TINY);
/** How often the adapter was lost and the model loaded again. */
export const recoveries = signal(0);
/** Whether a model is on its way. */
export const opening = computed(() => ["starting", "downloading", "loading"].includes(state.value.phase));
export const model = computed(() => (state.value.phase === "ready" ? state.value.model : undefined));

let worker: Worker | undefined;
let controlling: AbortController | undefined;

/**
 * Loads a checkpoint in a new worker and closes the previous one. Cached files are read from this browser's storage; with `again`,
 * loading is tried once more if the device is lost.
 */
export async function open(next: ModelChoice = choice.value, again = true): Promise<void> {
  close();
  choice.value = next;
  const controller = new AbortController();
  controlling = controller;
  state.value = { phase: "starting" };
  // Asks the browser not to delete downloads when the disk is nearly full; only a page can ask, not a worker.
  void navigator.storage?.persist?.().catch(() => false);
  const own = new Worker(new URL("./model-worker.ts", import.meta.url), { type: "module", name: "model" });
  worker = own;
  const report = (value: ModelState): void => {
    if (controlling === controller && !controller.signal.aborted) state.value = value;
  };
  try {
    const loaded = await WorkerModel.load(own, typeof next.location === "string" ? next.location : [...next.location], {
      ...next.options,
      ...(budget.value !== undefined && { memoryBudget: budget.value }),
      signal: controller.signal,
      onDownload: (progress) => report({ phase: "downloading", progress }),
      onProgress: ({ loadedBytes, totalBytes }) => report({ phase: "loading", share: loadedBytes / totalBytes }),
    });
    report({ phase: "ready", model: loaded });
  } catch (error) {
    own.terminate();
    // Browsers lose all devices when they restart their GPU process, as some do in their first second.
    if (again && isCode(error, "DEVICE_LOST") && controlling === controller) return open(next, false);
    if (isCode(error, "ABORTED")) report({ phase: "none" });
    else report({ phase: "failed", error });
  }
}

/** Cancels a download or a load; downloaded bytes stay. */
export function cancel(): void {
  controlling?.abort();
  close();
}

/** Closes the model and frees the adapter's memory. */
export function close(): void {
  controlling?.abort();
  model.value?.dispose();
  worker?.terminate();
  worker = undefined;
  controlling = undefined;
  state.value = { phase: "none" };
}

/** Loads the same model again, from this browser's storage, after the adapter was lost. */
export async function recover(): Promise<void> {
  recoveries.value++;
  await open();
}
