import { platform } from "#platform";
import { DisposedError } from "../base/errors.js";
import type { Answer } from "../models/chat/answer.js";
import type { Session } from "../models/chat/session.js";
import type { ImageContent, VideoContent } from "../models/llava-onevision/processor.js";
import { LlavaOneVision, type LoadOptions } from "../models/llava-onevision.js";
import type { TrainOptions } from "../models/training-options.js";
import type { HeldLock } from "../platform/platform.js";
import type { TrainingRecord } from "../training/samples.js";
import { listen, type ServingEnd } from "./endpoint.js";
import { isConnect, type LoadReply, type SentOptions, type ToPage, type ToWorker } from "./messages.js";
import { ReceivedMedia, receiveLocation } from "./received.js";
import { sendError } from "./sent-error.js";
import { ServedTraining } from "./served-training.js";

/**
 * Serves models to the page that started this worker. Call it once at the top of the worker's script, before the first `await`.
 * The script's own code and messages are not affected.
 *
 * ```ts
 * import { serve } from "ocellus/worker";
 *
 * serve(self); // in Node: import { parentPort } from "node:worker_threads", serve(parentPort!)
 * ```
 *
 * In a shared worker: `onconnect = ({ ports }) => serve(ports[0])`.
 */
export function serve(end: ServingEnd): void {
  listen(end, "message", (data) => {
    if (isConnect(data)) void new ServedModel(data.port, data.flag).connect(data.life);
  });
}

/** A running call. */
interface Running {
  readonly controller: AbortController;
  answer?: Answer;
  stopped?: boolean;
  /** Resolves when it has settled. */
  settled?: Promise<void>;
}

/** Serves one model over one connection. */
class ServedModel {
  #model: LlavaOneVision | undefined;
  #ended = false;
  /** Sessions, or the errors of their creation. */
  readonly #sessions = new Map<number, Session | { readonly fault: unknown }>();
  readonly #running = new Map<number, Running>();
  readonly #media = new ReceivedMedia();
  /** Runs of training by their call. */
  readonly #trainings = new Map<number, Promise<ServedTraining>>();

  #lock: HeldLock | undefined;

  constructor(
    readonly port: MessagePort,
    private readonly flag: Int32Array | undefined,
  ) {}

  /** Listens until the page disposes the model or is closed. */
  async connect(life: string | undefined): Promise<void> {
    listen(this.port, "message", (data) => this.#receive(data as ToWorker));
    listen(this.port, "close", () => this.#dispose());
    if (life !== undefined) platform.lifeline?.ended(life).then(() => this.#dispose());
    this.#lock = await platform.lifeline?.hold();
    this.#post({ kind: "connected", life: this.#lock?.name });
  }

  #post(message: ToPage): void {
    this.port.postMessage(message);
  }

  #receive(message: ToWorker): void {
    switch (message.kind) {
      case "load":
        void this.#load(message);
        break;
      case "reload":
        void this.#reload(message);
        break;
      case "session":
        this.#open(message.session, () => this.#loaded().createSession(message.options));
        break;
      case "clone":
        this.#open(message.session, () => this.#session(message.from).clone());
        break;
      case "reset":
        this.#open(message.session, () => {
          const session = this.#session(message.session);
          session.reset();
          return session;
        });
        break;
      case "end": {
        const session = this.#sessions.get(message.session);
        this.#sessions.delete(message.session);
        if (session && !("fault" in session)) session.dispose();
        break;
      }
      case "ask":
        void this.#ask(message);
        break;
      case "embed":
        void this.#embed(message);
        break;
      case "train":
        this.#train(message);
        break;
      case "pull":
        void this.#call(message.call, NO_OPTIONS, async () => (await this.#training(message)).pull(message.what));
        break;
      case "evaluate":
        void this.#evaluate(message);
        break;
      case "finish":
        this.#trainings.get(message.training)?.then((training) => training.finish());
        break;
      case "abort":
        this.#running.get(message.call)?.controller.abort();
        break;
      case "stop": {
        const running = this.#running.get(message.call);
        if (running) running.stopped = true;
        running?.answer?.stop();
        break;
      }
      case "dispose":
        this.#dispose();
    }
  }

  #load({ call, location, options }: ToWorker & { kind: "load" }): Promise<void> {
    return this.#call(call, options, async (given) => {
      const model = await LlavaOneVision.load(receiveLocation(location), given as LoadOptions);
      if (this.#ended) model.dispose();
      else this.#model = model;
      return replyOf(model);
    });
  }

  #reload({ call, options }: ToWorker & { kind: "reload" }): Promise<void> {
    return this.#call(call, options, async (given) => {
      const model = this.#loaded();
      await model.reload(given);
      return replyOf(model);
    });
  }

  #loaded(): LlavaOneVision {
    if (this.#model) return this.#model;
    throw new DisposedError({
      where: "model in a worker",
      expected: "a loaded model",
      got: "none",
      remedy: "load it first",
    });
  }

  /** The page does not wait for it: an error is reported by the session's next call. */
  #open(name: number, make: () => Session): void {
    try {
      this.#sessions.set(name, make());
    } catch (fault) {
      this.#sessions.set(name, { fault });
    }
  }

  #session(name: number): Session {
    const session = this.#sessions.get(name);
    if (session && !("fault" in session)) return session;
    if (session) throw session.fault;
    throw new DisposedError({
      where: "Session",
      expected: "an open session",
      got: "a disposed one",
      remedy: "create another",
    });
  }

  async #ask({ call, session: name, method, input: sent, options: given }: ToWorker & { kind: "ask" }): Promise<void> {
    const work = async (options: Record<string, unknown>, running: Running): Promise<unknown> => {
      const session = this.#session(name);
      if (method === "attention") return session.attention(options);
      const input = (await this.#media.input(sent, options)) as string;
      if (method !== "generate") return session[method](input, options);
      const answer = session.generate(input, options);
      running.answer = answer;
      if (running.stopped) answer.stop();
      for await (const piece of answer) this.#post({ kind: "piece", call, piece });
      return answer.result;
    };
    await this.#call(call, given, work, method === "generate" ? name : undefined);
  }

  #embed({ call, method, input: sent, options: given }: ToWorker & { kind: "embed" }): Promise<void> {
    return this.#call(call, given, async (options) => {
      const model = this.#loaded();
      const [input] = (await this.#media.input([sent], options)) as [unknown];
      if (method === "embedText") return model.embedText(input as string, options);
      if (method === "embedImage") return model.embedImage((input as ImageContent).image, options);
      return model.embedVideo(input as VideoContent, options);
    });
  }

  /** A call that lasts as long as the run. */
  #train({ call, records: sent, options }: ToWorker & { kind: "train" }): void {
    void this.#call(call, options, async (given, { controller }) => {
      const begun = this.#begin(sent, given, controller.signal);
      this.#trainings.set(call, begun);
      try {
        await (await begun).over;
      } finally {
        this.#trainings.delete(call);
      }
    });
  }

  async #begin(sent: unknown, given: Record<string, unknown>, signal: AbortSignal): Promise<ServedTraining> {
    const records = await this.#records(sent);
    const { resume, ...others } = given as TrainOptions;
    const options = { ...others, ...(resume !== undefined && { resume: receiveLocation(resume as string) }), signal };
    const training = new ServedTraining(this.#loaded().train(records, options));
    signal.addEventListener("abort", () => training.finish(), { once: true });
    return training;
  }

  async #evaluate({ call, training, records: sent }: ToWorker & { kind: "evaluate" }): Promise<void> {
    await this.#call(call, NO_OPTIONS, async () => {
      const { step } = await this.#training({ training });
      return step.evaluate(await this.#records(sent));
    });
  }

  #training({ training }: { readonly training: number }): Promise<ServedTraining> {
    const found = this.#trainings.get(training);
    if (found) return found;
    const remedy = "call model.train again";
    throw new DisposedError({ where: "training", expected: "a run that goes on", got: "one that has ended", remedy });
  }

  async #records(sent: unknown): Promise<TrainingRecord[]> {
    if (!Array.isArray(sent)) return sent as never;
    const records = sent as readonly { readonly messages: unknown }[];
    const media = (messages: unknown) => this.#media.input(messages, {});
    return Promise.all(
      records.map(async (record) => ({ ...record, messages: (await media(record.messages)) as never })),
    );
  }

  /** Runs `work` and posts its result; after an answer, with the session's conversation. */
  async #call(
    call: number,
    sent: SentOptions,
    work: (options: Record<string, unknown>, running: Running) => Promise<unknown>,
    answering?: number,
  ): Promise<void> {
    const running: Running = { controller: new AbortController() };
    this.#running.set(call, running);
    const options: Record<string, unknown> = { ...sent.values };
    if (sent.signal) options.signal = running.controller.signal;
    for (const name of sent.callbacks) {
      options[name] = (...values: unknown[]) => this.#post({ kind: "callback", call, name, values });
    }
    running.settled = this.#settle(call, work(options, running), answering);
    await running.settled;
  }

  async #settle(call: number, work: Promise<unknown>, answering?: number): Promise<void> {
    try {
      const value = await work;
      const messages = answering === undefined ? undefined : this.#media.messages(this.#session(answering).messages);
      this.#post({ kind: "done", call, value, ...(messages && { messages }) });
    } catch (error) {
      this.#post({ kind: "failed", call, error: sendError(error) });
    } finally {
      this.#running.delete(call);
    }
  }

  /** Aborts running calls first, so that their memory is freed before the device. */
  async #dispose(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    const running = [...this.#running.values()];
    for (const { controller, answer } of running) {
      controller.abort();
      answer?.stop();
    }
    await Promise.all(running.map(({ settled }) => settled));
    this.#model?.dispose();
    await this.#model?.internals.reloading?.catch(() => {});
    this.#sessions.clear();
    this.#lock?.release();
    await platform.threads?.drained();
    if (this.flag) {
      Atomics.store(this.flag, 0, 1);
      Atomics.notify(this.flag, 0);
    }
    this.port.close();
  }
}

const NO_OPTIONS: SentOptions = { values: {}, callbacks: [], signal: false };

function replyOf({ device, config }: LlavaOneVision): LoadReply {
  return { adapter: device.facts, contextTokens: config.text.maxPositions };
}
