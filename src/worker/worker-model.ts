import { DisposedError, throwIfAborted } from "../base/errors.js";
import { checkOptions } from "../base/options.js";
import type { CheckpointLocation } from "../io/checkpoint.js";
import type { PictureInput } from "../io/picture-input.js";
import type { ChatModel } from "../models/chat/chat-model.js";
import type { SessionOptions } from "../models/chat/conversation.js";
import type { EmbedMediaOptions, EmbedTextOptions, MediaEmbedding } from "../models/chat/embeddings.js";
import type { VideoContent } from "../models/llava-onevision/processor.js";
import type { LoadOptions } from "../models/llava-onevision.js";
import type { TrainOptions } from "../models/training-options.js";
import type { TrainingStep } from "../models/training-step.js";
import type { AdapterFacts } from "../runtime/adapter.js";
import type { TrainingRecord } from "../training/samples.js";
import { Connection, type Opening } from "./connection.js";
import type { WorkerEnd } from "./endpoint.js";
import type { EmbedMethod, LoadReply } from "./messages.js";
import { sendLocation, sendOptions, Transferables } from "./transferables.js";
import { type Names, type Transfers, WorkerSession } from "./worker-session.js";

/** {@link LoadOptions} without `device` and `devices`: the worker opens its own. */
export type WorkerLoadOptions = Omit<LoadOptions, "device" | "devices">;

const WHERE = "WorkerModel.load";
const OWN = "leave it out: the worker opens its own";
const REFUSED = { device: OWN, devices: OWN } as const;

/**
 * LLaVA-OneVision in a worker, with the interface of {@link ChatModel}, which `LlavaOneVision` also has. The page stays responsive while
 * the model runs; one worker can serve several models.
 *
 * ```ts
 * import { WorkerModel } from "ocellus/worker";
 *
 * // model-worker.ts is two lines: import { serve } from "ocellus/worker"; serve(self);
 * const worker = new Worker(new URL("./model-worker.ts", import.meta.url), { type: "module" });
 * const model = await WorkerModel.load(worker, "https://example.com/models/llava-onevision-qwen2-0.5b-ov-hf/");
 * const session = model.createSession({ system: "Be brief." });
 * const answer = session.generate([
 *   { type: "image", image: file }, // a File is sent by reference
 *   { type: "text", text: "What is in this picture?" },
 * ]);
 * for await (const { text } of answer) output.append(text);
 * console.log((await answer.result).finishReason);
 * model.dispose(); // frees the GPU memory; the program terminates the worker
 * ```
 *
 * In Node the worker is one of `node:worker_threads`. Its `terminate()` waits until the models are disposed, at most a minute, since Dawn
 * aborts the process if a thread terminates during GPU work. Errors have the same classes as without a worker. If the worker terminates
 * or has an uncaught error, all pending and later calls reject with WorkerError; in browsers that do not report a terminated worker,
 * `dispose` rejects them.
 * @example
 * ```ts
 * const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
 * const workerModel = await WorkerModel.load(worker, "llava-hf/llava-onevision-qwen2-0.5b-ov-hf");
 * console.log((await workerModel.createSession().generate("Hello!").result).text);
 * workerModel.dispose();
 * ```
 */
export class WorkerModel implements ChatModel {
  #named = 0;
  readonly #names: Names = { next: () => ++this.#named };

  private constructor(
    private readonly connection: Connection,
    private loaded: LoadReply,
  ) {}

  /** The adapter that the worker opened by `load` or `reload`. */
  get adapter(): AdapterFacts {
    return this.loaded.adapter;
  }

  /** Context length of a session in tokens. */
  get contextTokens(): number {
    return this.loaded.contextTokens;
  }

  /**
   * Loads a checkpoint in the worker, whose script calls `serve`; see {@link LlavaOneVision.load} for locations, options and errors.
   * Files are sent by reference. Also throws WorkerError.
   */
  static async load(
    worker: WorkerEnd,
    location: CheckpointLocation,
    options: WorkerLoadOptions = {},
  ): Promise<WorkerModel> {
    const sent = sendOptions(WHERE, options, REFUSED);
    const connection = await Connection.open(worker, WHERE, options.signal);
    try {
      const call = connection.name();
      const message = { kind: "load", call, location: sendLocation(location), options: sent } as const;
      const loaded = (await connection.call(call, Promise.resolve({ message }), {
        where: WHERE,
        options,
      })) as LoadReply;
      // The worker may have finished before the abort arrived.
      throwIfAborted(options.signal, WHERE);
      return new WorkerModel(connection, loaded);
    } catch (error) {
      connection.end(disposed());
      throw error;
    }
  }

  /** See {@link LlavaOneVision.reload}. Also throws WorkerError. */
  async reload(options: Pick<WorkerLoadOptions, "signal" | "onProgress"> = {}): Promise<void> {
    const where = "model.reload";
    const sent = sendOptions(where, options, REFUSED);
    const call = this.connection.name();
    const message = { kind: "reload", call, options: sent } as const;
    this.loaded = (await this.connection.call(call, Promise.resolve({ message }), { where, options })) as LoadReply;
  }

  /** Creates a conversation with its own KV cache in the worker. Throws OptionError, DisposedError, WorkerError. */
  createSession(options: SessionOptions = {}): WorkerSession {
    checkOptions("model.createSession", options, ["system", "adapters"]);
    this.connection.check();
    const session = this.#names.next();
    this.connection.post({ kind: "session", session, options });
    return new WorkerSession(this.connection, session, this.#names, options.system);
  }

  /** See {@link LlavaOneVision.embedImage}. Also throws WorkerError. */
  async embedImage(image: PictureInput, options: EmbedMediaOptions & Transfers = {}): Promise<MediaEmbedding> {
    return (await this.#embed("embedImage", { type: "image", image }, options)) as MediaEmbedding;
  }

  /** See {@link LlavaOneVision.embedVideo}. Also throws WorkerError. */
  async embedVideo(
    video: Omit<VideoContent, "type">,
    options: EmbedMediaOptions & Transfers = {},
  ): Promise<MediaEmbedding> {
    return (await this.#embed("embedVideo", { ...video, type: "video" }, options)) as MediaEmbedding;
  }

  /** See {@link LlavaOneVision.embedText}. Also throws WorkerError. */
  embedText(text: string, options?: EmbedTextOptions): Promise<Float32Array>;
  embedText(texts: readonly string[], options?: EmbedTextOptions): Promise<Float32Array[]>;
  async embedText(
    text: string | readonly string[],
    options: EmbedTextOptions = {},
  ): Promise<Float32Array | Float32Array[]> {
    return (await this.#embed("embedText", text, options)) as Float32Array | Float32Array[];
  }

  /** See {@link LlavaOneVision.train}: steps are made in the worker. Pictures and clips are copied, files sent by reference. Also throws WorkerError. */
  async *train(
    data: readonly TrainingRecord[],
    options: TrainOptions = {},
  ): AsyncGenerator<TrainingStep, void, undefined> {
    this.connection.check();
    const { workerSteps } = await import("./worker-training.js");
    yield* workerSteps(this.connection, this.#names, data, options);
  }

  async #embed(method: EmbedMethod, input: unknown, options: { signal?: AbortSignal } & Transfers): Promise<unknown> {
    const where = `model.${method}`;
    const call = this.connection.name();
    const opening = async (): Promise<Opening> => {
      const sent = sendOptions(where, options, {});
      const parcel = new Transferables(options);
      const [given] = (await parcel.input([input], () => this.#names.next())) as [unknown];
      return { message: { kind: "embed", call, method, input: given, options: sent }, transfer: parcel.transfer };
    };
    const vectors = await this.connection.call(call, opening(), { where, options });
    // The worker may have finished before the abort arrived.
    throwIfAborted(options.signal, where);
    return vectors;
  }

  /** Disposes the model in the worker; pending calls reject with DisposedError. The worker keeps running. */
  dispose(): void {
    this.connection.end(disposed());
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function disposed(): DisposedError {
  return new DisposedError({
    where: "WorkerModel",
    expected: "a loaded model",
    got: "a disposed one",
    remedy: "load it again",
  });
}
