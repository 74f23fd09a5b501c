/** Wire types of OpenAI's chat completions and embeddings, as far as supported. */

export interface TextPartParam {
  type: "text";
  text: string;
}

/** A picture in a message. */
export interface ImagePartParam {
  type: "image_url";
  image_url: {
    /** A `data:` URL; others only with `readMedia`. */
    url: string;
    /** "low" is image mode "pad" (one tile), "high" is "anyres" (tiles); the same for all pictures of a request. */
    detail?: "auto" | "low" | "high" | null;
  };
}

/** An extension of other OpenAI-compatible servers. */
export interface VideoPartParam {
  type: "video_url";
  video_url: {
    url: string;
    /** Number of frames to sample, evenly spaced; 16 if not given. */
    frames?: number | null;
    /** Index of the video track, from 0; the first enabled one if not given. */
    track?: number | null;
  };
}

/** A part of a message. */
export type ContentPartParam = TextPartParam | ImagePartParam | VideoPartParam;

/** One message of a request. */
export interface MessageParam {
  role: "system" | "developer" | "user" | "assistant";
  content: string | readonly ContentPartParam[];
  /** Ignored. */
  name?: string;
}

/** Form of the answer: text, any JSON, or JSON of a schema. */
export type ResponseFormat =
  | { type: "text" }
  | { type: "json_object" }
  | {
      type: "json_schema";
      json_schema: { name?: string; description?: string; schema: object; strict?: boolean | null };
    };

/** Body of a request. Optional fields may be null. */
export interface ChatCompletionRequest {
  messages: readonly MessageParam[];
  model?: string | null;
  stream?: boolean | null;
  stream_options?: { include_usage?: boolean; include_obfuscation?: boolean } | null;
  max_tokens?: number | null;
  max_completion_tokens?: number | null;
  /** Defaults to 0 (greedy decoding), or to 1 if `top_p`, `top_k` or `min_p` is given. */
  temperature?: number | null;
  top_p?: number | null;
  /** Extension. */
  top_k?: number | null;
  /** Extension. */
  min_p?: number | null;
  /** Extension. */
  repetition_penalty?: number | null;
  presence_penalty?: number | null;
  frequency_penalty?: number | null;
  seed?: number | null;
  stop?: string | readonly string[] | null;
  logprobs?: boolean | null;
  top_logprobs?: number | null;
  response_format?: ResponseFormat | null;
  /** Number of choices, 1 to 16; without a temperature more than one are sampled at 1. */
  n?: number | null;
  /** Numbers from -100 to 100 by token id. */
  logit_bias?: Readonly<Record<string, number>> | null;
  /** Extension: minimum number of tokens before an EOS token. */
  min_tokens?: number | null;
  /** Extension: a JSON schema, or its JSON text. */
  guided_json?: object | string | null;
  /** Extension. */
  guided_regex?: string | null;
  /** Extension: the answer is one of these texts. */
  guided_choice?: readonly string[] | null;
  /** Extension: a grammar in EBNF, whose rule `root` is the answer. */
  guided_grammar?: string | null;
  /** Extension: the same in one object, as newer versions of vLLM have it. */
  structured_outputs?: {
    json?: object | string;
    regex?: string;
    choice?: readonly string[];
    grammar?: string;
    json_object?: true;
  } | null;
  /** Ignored, like `store`, `service_tier` and other fields that do not affect the answer. */
  user?: string | null;
  metadata?: object | null;
}

/** A token and its logprob. */
export interface TokenChanceParam {
  token: string;
  bytes: number[];
  logprob: number;
}

/** A token of an answer with its logprob, and the most likely tokens at its position. */
export interface TokenLogprobParam extends TokenChanceParam {
  top_logprobs: TokenChanceParam[];
}

/** Logprobs of an answer's tokens. */
export interface ChoiceLogprobs {
  content: TokenLogprobParam[];
  refusal: null;
}

/** Token counts of a request. */
export interface CompletionUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  /** `cached_tokens` were reused from an earlier request. */
  prompt_tokens_details: { cached_tokens: number };
}

/** Finish reason. */
export type FinishReason = "stop" | "length";

/** A complete response. */
export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  /** Unix time in seconds. */
  created: number;
  model: string;
  choices: {
    index: number;
    message: { role: "assistant"; content: string; refusal: null };
    finish_reason: FinishReason;
    logprobs: ChoiceLogprobs | null;
  }[];
  usage: CompletionUsage;
}

/** A chunk of a streamed response. */
export interface ChatCompletionChunk {
  id: string;
  object: "chat.completion.chunk";
  created: number;
  model: string;
  /** Empty in the usage chunk. */
  choices: {
    index: number;
    delta: { role?: "assistant"; content?: string };
    finish_reason: FinishReason | null;
    logprobs: ChoiceLogprobs | null;
  }[];
  /** With `stream_options.include_usage`: null except in the last chunk. */
  usage?: CompletionUsage | null;
}
