/** OpenAI's chat completions and embeddings as they travel, as far as they are understood here. */

export interface TextPartParam {
  type: "text";
  text: string;
}

/** A picture in a message. */
export interface ImagePartParam {
  type: "image_url";
  image_url: {
    /** A `data:` URL; others only where the program says how they are read. */
    url: string;
    /** "low" takes pictures as squares of one tile, "high" in tiles; one for all pictures of a request. */
    detail?: "auto" | "low" | "high" | null;
  };
}

/** Not of OpenAI, but of other servers with its interface. */
export interface VideoPartParam {
  type: "video_url";
  video_url: {
    url: string;
    /** How many frames are taken, evenly; 16 if not given. */
    frames?: number | null;
    /** Which video track, counted from 0; the first enabled one if not given. */
    track?: number | null;
  };
}

/** A part of a message. */
export type ContentPartParam = TextPartParam | ImagePartParam | VideoPartParam;

/** One message of a request. */
export interface MessageParam {
  role: "system" | "developer" | "user" | "assistant";
  content: string | readonly ContentPartParam[];
  /** Passed over. */
  name?: string;
}

/** What form the answer has: text, any JSON, or JSON by a schema. */
export type ResponseFormat =
  | { type: "text" }
  | { type: "json_object" }
  | {
      type: "json_schema";
      json_schema: { name?: string; description?: string; schema: object; strict?: boolean | null };
    };

/** Fields may be null wherever they may be left out. */
export interface ChatCompletionRequest {
  messages: readonly MessageParam[];
  model?: string | null;
  stream?: boolean | null;
  stream_options?: { include_usage?: boolean; include_obfuscation?: boolean } | null;
  max_tokens?: number | null;
  max_completion_tokens?: number | null;
  /** The most probable tokens, as with 0, if neither this nor `top_p`, `top_k` or `min_p` is given; 1 if one of these is. */
  temperature?: number | null;
  top_p?: number | null;
  /** Not of OpenAI. */
  top_k?: number | null;
  /** Not of OpenAI. */
  min_p?: number | null;
  /** Not of OpenAI. */
  repetition_penalty?: number | null;
  presence_penalty?: number | null;
  frequency_penalty?: number | null;
  seed?: number | null;
  stop?: string | readonly string[] | null;
  logprobs?: boolean | null;
  top_logprobs?: number | null;
  response_format?: ResponseFormat | null;
  /** One answer a request. */
  n?: 1 | null;
  /** Passed over, as are `store`, `service_tier` and what else changes no answer. */
  user?: string | null;
  metadata?: object | null;
}

/** What a token could have been, and the logarithm of its probability. */
export interface TokenChanceParam {
  token: string;
  bytes: number[];
  logprob: number;
}

/** A token of an answer with its probability, and the most probable ones in its place. */
export interface TokenLogprobParam extends TokenChanceParam {
  top_logprobs: TokenChanceParam[];
}

/** Probabilities of an answer's tokens. */
export interface ChoiceLogprobs {
  content: TokenLogprobParam[];
  refusal: null;
}

/** Tokens of a request and its answer. */
export interface CompletionUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  /** `cached_tokens` were computed for a request before. */
  prompt_tokens_details: { cached_tokens: number };
}

/** Why an answer ended. */
export type FinishReason = "stop" | "length";

/** A whole answer. */
export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  /** Seconds since 1970. */
  created: number;
  model: string;
  choices: {
    index: 0;
    message: { role: "assistant"; content: string; refusal: null };
    finish_reason: FinishReason;
    logprobs: ChoiceLogprobs | null;
  }[];
  usage: CompletionUsage;
}

/** A piece of a streamed answer. */
export interface ChatCompletionChunk {
  id: string;
  object: "chat.completion.chunk";
  created: number;
  model: string;
  /** Empty in the chunk that has the usage. */
  choices: {
    index: 0;
    delta: { role?: "assistant"; content?: string };
    finish_reason: FinishReason | null;
    logprobs: ChoiceLogprobs | null;
  }[];
  /** Where `stream_options.include_usage` asked for it: null but in the last chunk. */
  usage?: CompletionUsage | null;
}
