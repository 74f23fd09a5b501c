/** Chrome's Prompt API (https://github.com/webmachinelearning/prompt-api) over a model in this program or in a worker. */
import { OptionError } from "../base/errors.js";
import { checkOptions } from "../base/options.js";
import type { ChatModel } from "../models/chat/chat-model.js";
import { notSupported, type PromptMessage, readInput } from "./prompt-input.js";
import { measured, PromptSession, tooLong } from "./prompt-session.js";

export type { PromptContent, PromptInput, PromptMessage } from "./prompt-input.js";
export { type PromptOptions, PromptSession, QuotaExceededError, type SessionSettings } from "./prompt-session.js";

/** As the Prompt API has it. */
export type Availability = "unavailable" | "downloadable" | "downloading" | "available";

/** What a page expects of a model. */
export interface Expectations {
  expectedInputs?: readonly { type: string; languages?: readonly string[] }[];
  expectedOutputs?: readonly { type: string; languages?: readonly string[] }[];
}

/** Options of `LanguageModel.create`. */
export interface CreateOptions extends Expectations {
  /** Sampling temperature, 0 to 2; together with `topK`. */
  temperature?: number;
  /** Top-k sampling, 1 to 128; 1 means greedy decoding. */
  topK?: number;
  /** Messages that begin the conversation. */
  initialPrompts?: readonly PromptMessage[];
  /** Gets an EventTarget with events `downloadprogress`: `loaded` goes from 0 to 1. */
  monitor?: (monitor: EventTarget) => void;
  /** Ends the creation, and later the session. */
  signal?: AbortSignal | undefined;
}

/** Ranges and defaults of sampling. */
export interface LanguageModelParams {
  defaultTopK: number;
  maxTopK: number;
  defaultTemperature: number;
  maxTemperature: number;
}

/** The class `LanguageModel` of the Prompt API. */
export interface LanguageModelClass {
  /** Returns whether a session with these options can be created, and whether the model is downloaded already. */
  availability(options?: Expectations & Pick<CreateOptions, "temperature" | "topK">): Promise<Availability>;
  /** Loads the model if it is not loaded, and begins a conversation. */
  create(options?: CreateOptions): Promise<PromptSession>;
  /** Returns the defaults and limits of sampling. */
  params(): Promise<LanguageModelParams>;
}

/** Loads the model, once; a failed download is tried again by the next `create`. */
export type LoadModel = (options: {
  /** Reports the fraction that is loaded, 0 to 1. */
  onProgress: (loaded: number) => void;
}) => Promise<ChatModel>;

/** Options of {@link promptAPI}. */
export interface PromptAPIOptions {
  /** Maximum tokens of an answer, 1024 if not given: the Prompt API has no option for it. */
  maxNewTokens?: number;
}

/** Without options decoding is greedy, as everywhere in Ocellus. */
const PARAMS: LanguageModelParams = { defaultTopK: 1, maxTopK: 128, defaultTemperature: 1, maxTemperature: 2 };
const INPUTS: readonly string[] = ["text", "image", "video"];
const MAX_NEW_TOKENS = 1024;

/**
 * Returns the class `LanguageModel` of Chrome's Prompt API over a model, or over a function that loads one at the first `create`. Pages
 * written for the model of the browser run on it, and may ask about clips too (`{ type: "video", value }`).
 * @example
 * ```ts
 * import { promptAPI } from "ocellus/prompt-api";
 *
 * const LanguageModel = promptAPI(model);
 * const session = await LanguageModel.create({ initialPrompts: [{ role: "system", content: "Answer in one word." }] });
 * const text = await session.prompt([{ role: "user", content: [{ type: "image", value: file }, { type: "text", value: "What is this?" }] }]);
 * session.destroy();
 * ```
 */
export function promptAPI(model: ChatModel | LoadModel, options: PromptAPIOptions = {}): LanguageModelClass {
  checkOptions("promptAPI", options, ["maxNewTokens"]);
  const { maxNewTokens = MAX_NEW_TOKENS } = options;
  if (!Number.isInteger(maxNewTokens) || maxNewTokens < 1) {
    throw new OptionError({
      where: "promptAPI, maxNewTokens",
      expected: "a whole number above 0",
      got: String(maxNewTokens),
      remedy: "leave it out for the default",
    });
  }
  const source = new ModelSource(model);

  return class LanguageModel extends PromptSession {
    static async availability(asked: Parameters<LanguageModelClass["availability"]>[0] = {}): Promise<Availability> {
      return faultOf(asked) ? "unavailable" : source.availability;
    }

    static async params(): Promise<LanguageModelParams> {
      return { ...PARAMS };
    }

    static async create(asked: CreateOptions = {}): Promise<PromptSession> {
      const { signal, monitor, initialPrompts = [] } = asked;
      signal?.throwIfAborted();
      const fault = faultOf(asked);
      if (fault) throw fault;
      const messages = readInput(initialPrompts, true);
      const loaded = await source.load(monitor, signal);
      const { temperature = PARAMS.defaultTemperature, topK = PARAMS.defaultTopK } = asked;
      using measuring = loaded.createSession();
      const { promptTokens, contextTokens } = await measured(measuring, messages, signal);
      if (promptTokens >= contextTokens) throw tooLong(promptTokens, contextTokens);
      const usage = messages.length === 0 ? 0 : promptTokens;
      const session = new LanguageModel(loaded, { temperature, topK, maxNewTokens }, messages, contextTokens, usage);
      session.endWith(signal);
      return session;
    }
  };
}

/** The model, loaded once. */
class ModelSource {
  #model: ChatModel | undefined;
  #loading: Promise<ChatModel> | undefined;
  readonly #load: LoadModel | undefined;
  readonly #monitors = new Set<EventTarget>();

  constructor(model: ChatModel | LoadModel) {
    if (typeof model === "function") this.#load = model;
    else this.#model = model;
  }

  get availability(): Availability {
    if (this.#model) return "available";
    return this.#loading ? "downloading" : "downloadable";
  }

  async load(monitor: CreateOptions["monitor"], signal: AbortSignal | undefined): Promise<ChatModel> {
    const target = new EventTarget();
    monitor?.(target);
    this.#monitors.add(target);
    try {
      this.#progress(0, target);
      const model = this.#model ?? (await unless(signal, this.#begun()));
      this.#progress(1, target);
      return model;
    } finally {
      this.#monitors.delete(target);
    }
  }

  #begun(): Promise<ChatModel> {
    this.#loading ??= this.#load!({
      onProgress: (loaded) => {
        for (const target of this.#monitors) this.#progress(loaded, target);
      },
    }).then(
      (model) => {
        this.#model = model;
        return model;
      },
      (error) => {
        this.#loading = undefined;
        throw error;
      },
    );
    return this.#loading;
  }

  /** Events of `downloadprogress` begin with 0 and end with 1. */
  #progress(loaded: number, target: EventTarget): void {
    const fraction = Math.min(1, Math.max(0, loaded));
    target.dispatchEvent(
      Object.assign(new Event("downloadprogress"), { loaded: fraction, total: 1, lengthComputable: true }),
    );
  }
}

/** The promise, or the signal's reason before it; the load itself goes on for others. */
async function unless<T>(signal: AbortSignal | undefined, promise: Promise<T>): Promise<T> {
  if (!signal) return promise;
  return new Promise<T>((resolve, reject) => {
    const leave = (): void => reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
  });
}

/** Why a model like this cannot be had. */
function faultOf({ temperature, topK, expectedInputs = [], expectedOutputs = [] }: CreateOptions): Error | undefined {
  const input = expectedInputs.find(({ type }) => !INPUTS.includes(type));
  if (input) return notSupported(`inputs of type ${input.type} are not supported: text, image and video are`);
  const output = expectedOutputs.find(({ type }) => type !== "text");
  if (output) return notSupported(`outputs of type ${output.type} are not supported: answers are text`);
  if ((temperature === undefined) !== (topK === undefined)) {
    return notSupported("expected temperature and topK together, or neither");
  }
  if (temperature !== undefined && !(temperature >= 0 && temperature <= PARAMS.maxTemperature)) {
    return new RangeError(`expected a temperature from 0 to ${PARAMS.maxTemperature}, got ${temperature}`);
  }
  if (topK !== undefined && !(Number.isInteger(topK) && topK >= 1 && topK <= PARAMS.maxTopK)) {
    return new RangeError(`expected a topK from 1 to ${PARAMS.maxTopK}, got ${topK}`);
  }
  return undefined;
}
