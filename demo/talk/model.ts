import { computed, effect, signal } from "@preact/signals";
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

/** The state of the newest load. */
export type ModelState =
  | { readonly phase: "none" }
  | { readonly phase: "starting" }
  | { readonly phase: "downloading"; readonly progress: DownloadProgress }
  | { readonly phase: "loading"; readonly share: number }
  | { readonly phase: "compiling" }
  | { readonly phase: "ready" }
  /** The GPU was reset during an answer, which waits for the weights. */
  | { readonly phase: "reloading"; readonly share: number }
  | { readonly phase: "failed"; readonly error: unknown };

/** A model that is loaded, and its worker. */
interface Loaded {
  readonly model: WorkerModel;
  readonly worker: Worker;
  readonly choice: ModelChoice;
}

/** The embedded checkpoint, from the hub of plain files beside the page. */
export const TINY: ModelChoice = {
  label: "Tiny (embedded)",
  location: "ocellus/tiny",
  options: { endpoint: new URL("hub", document.baseURI).href },
};

/** Bytes of graphics memory that a model may use; undefined for no limit. */
export const budget = signal<number | undefined>(undefined);
export const state = signal<ModelState>({ phase: "none" });
/** The model of the newest load: loaded, on its way, or failed. */
export const choice = signal<ModelChoice>(TINY);
/** How often the GPU was reset and the model loaded again. */
export const recoveries = signal(0);
/** Whether an answer is under way; a model that is replaced ends it first. */
export const answering = signal(false);
/** Names of the adapters that the conversation uses. */
export const adapters = signal<readonly string[]>([]);
/** Whether a model is on its way. */
export const opening = computed(() => ["starting", "downloading", "loading", "compiling"].includes(state.value.phase));
/** Whether no model can be loaded here at all. */
export const hasNoAdapter = computed(() => state.value.phase === "failed" && isCode(state.value.error, "NO_ADAPTER"));
/** What is being trained, for those who look at the conversation meanwhile. */
export const training = signal<string | undefined>(undefined);
/** The model that answers. It stays until another one is ready. */
const loaded = signal<Loaded | undefined>(undefined);
export const model = computed(() => loaded.value?.model);
export const loadedChoice = computed(() => loaded.value?.choice);
/** The model that answers, or that will once it is ready. */
export const answeringChoice = computed(() => loadedChoice.value ?? choice.value);
let controlling: AbortController | undefined;

/**
 * Loads a checkpoint in a new worker; the model before answers until it is ready, and stays if it fails. Cached files are read from this
 * browser's storage. Browsers lose all devices when they restart their GPU process, as some do in their first second.
 */
export async function open(next: ModelChoice = choice.value): Promise<void> {
  controlling?.abort();
  const controller = new AbortController();
  const { signal } = controller;
  controlling = controller;
  choice.value = next;
  state.value = { phase: "starting" };
  // Asks the browser not to delete downloads when the disk is nearly full; only a page can ask, not a worker.
  void navigator.storage?.persist?.().catch(() => false);
  const worker = new Worker(new URL("./model-worker.ts", import.meta.url), { type: "module", name: "model" });
  const report = (value: ModelState): void => {
    if (controlling === controller && !signal.aborted) state.value = value;
  };
  try {
    const model = await WorkerModel.load(
      worker,
      typeof next.location === "string" ? next.location : [...next.location],
      {
        ...next.options,
        ...(budget.value !== undefined && { memoryBudget: budget.value }),
        onDeviceLost: "reload",
        signal,
        onDownload: (progress) => report({ phase: "downloading", progress }),
        onProgress: ({ loadedBytes, totalBytes }) => report({ phase: "loading", share: loadedBytes / totalBytes }),
      },
    );
    report({ phase: "compiling" });
    await warmUp(model, signal);
    await silence(signal);
    unload();
    loaded.value = { model, worker, choice: next };
    report({ phase: "ready" });
  } catch (error) {
    worker.terminate();
    if (controlling !== controller) return;
    if (isCode(error, "ABORTED")) settle();
    else report({ phase: "failed", error });
  }
}

/** Cancels a download or a load; downloaded bytes stay, and so does the model before. */
export function cancel(): void {
  controlling?.abort();
  settle();
}

/** Shows the loaded model again, after a load that failed or was cancelled. */
export function settle(): void {
  controlling = undefined;
  if (loaded.value) choice.value = loaded.value.choice;
  state.value = { phase: loaded.value ? "ready" : "none" };
}

/** Frees the memory of the loaded model, for one that does not fit beside it. */
export function unload(): void {
  adapters.value = [];
  loaded.value?.model.dispose();
  loaded.value?.worker.terminate();
  loaded.value = undefined;
}

/** Shows that a running answer waits for the weights, or with no progress that it continues. */
export function showReload(progress?: { readonly done: number; readonly total: number }): void {
  const { phase } = state.value;
  if (progress && (phase === "ready" || phase === "reloading")) {
    state.value = { phase: "reloading", share: progress.done / progress.total };
  } else if (!progress && phase === "reloading") {
    recoveries.value++;
    state.value = { phase: "ready" };
  }
}

/** Loads the same model again in another worker, from this browser's storage, after several losses of the adapter or the worker's end. */
export async function recover(): Promise<void> {
  recoveries.value++;
  const lost = loaded.value?.choice;
  unload();
  await open(lost);
}

/** Compiles the kernels of a first question about a picture. */
async function warmUp(model: WorkerModel, signal: AbortSignal): Promise<void> {
  const image = { data: new Uint8Array(3), width: 1, height: 1 };
  using session = model.createSession();
  await session.generate([{ type: "image", image }], { maxNewTokens: 2, minNewTokens: 2, signal }).result;
}

/** Waits for the end of the answer that is under way. */
async function silence(signal: AbortSignal): Promise<void> {
  let end = (): void => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  signal.addEventListener("abort", end, { once: true });
  const stop = effect(() => {
    if (!answering.value) end();
  });
  await ended;
  stop();
  signal.throwIfAborted();
}
