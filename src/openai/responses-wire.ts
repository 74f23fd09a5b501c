/** Wire types of OpenAI's Responses API, as far as supported. */
import type { TokenLogprobParam } from "./wire.js";

/** Text of a message. */
export interface InputTextParam {
  type: "input_text";
  text: string;
}

/** A picture in a message. */
export interface InputImageParam {
  type: "input_image";
  /** A `data:` URL; others only with `readMedia`. */
  image_url: string;
  /** As in chat completions: the same for all pictures of a request. */
  detail?: "auto" | "low" | "high" | null;
}

/** A clip in a message: an extension. */
export interface InputVideoParam {
  type: "input_video";
  video_url: string;
  /** Number of frames to sample, evenly spaced; 16 if not given. */
  frames?: number | null;
  /** Index of the video track, from 0; the first enabled one if not given. */
  track?: number | null;
}

/** Text of an earlier answer. */
export interface OutputTextParam {
  type: "output_text";
  text: string;
  annotations?: readonly unknown[];
  logprobs?: readonly unknown[] | null;
}

/** One message of a request, or an earlier answer. */
export interface InputMessageParam {
  type?: "message";
  role: "system" | "developer" | "user" | "assistant";
  content: string | readonly (InputTextParam | InputImageParam | InputVideoParam | OutputTextParam)[];
  /** Ignored. */
  id?: string;
  /** Ignored. */
  status?: string;
}

/** An earlier answer by its id, as long as it is stored. */
export interface ItemReferenceParam {
  type: "item_reference";
  id: string;
}

/** Form of the answer. */
export type TextFormat =
  | { type: "text" }
  | { type: "json_object" }
  | { type: "json_schema"; name?: string; description?: string; schema: object; strict?: boolean | null };

/** Body of a request. Optional fields may be null; sampling and structure have the fields of `ChatCompletionRequest` too. */
export interface ResponseRequest {
  input: string | readonly (InputMessageParam | ItemReferenceParam)[];
  model?: string | null;
  /** A system message at the beginning, of this request only. */
  instructions?: string | null;
  /** Continues the conversation of a stored response. */
  previous_response_id?: string | null;
  /** Whether the response may be continued by its id; true if not given. */
  store?: boolean | null;
  stream?: boolean | null;
  max_output_tokens?: number | null;
  temperature?: number | null;
  top_p?: number | null;
  top_logprobs?: number | null;
  /** Only "message.output_text.logprobs" has an effect. */
  include?: readonly string[] | null;
  text?: { format?: TextFormat | null; verbosity?: "medium" | null } | null;
  /** Only "disabled" is supported: a conversation that is too long is an error. */
  truncation?: "disabled" | null;
  metadata?: Readonly<Record<string, string>> | null;
  user?: string | null;
  /** Extension, like the other sampling parameters of `ChatCompletionRequest`. */
  seed?: number | null;
}

/** The text of a response. */
export interface OutputText {
  type: "output_text";
  text: string;
  annotations: [];
  logprobs: TokenLogprobParam[];
}

/** The message of a response. */
export interface OutputMessage {
  id: string;
  type: "message";
  status: "in_progress" | "completed" | "incomplete";
  role: "assistant";
  content: OutputText[];
}

/** Token counts of a response. */
export interface ResponseUsage {
  input_tokens: number;
  /** Tokens that were reused from an earlier request. */
  input_tokens_details: { cached_tokens: number };
  output_tokens: number;
  output_tokens_details: { reasoning_tokens: number };
  total_tokens: number;
}

/** A response. */
export interface ModelResponse {
  id: string;
  object: "response";
  /** Unix time in seconds. */
  created_at: number;
  status: "in_progress" | "completed" | "incomplete" | "failed";
  error: { code: string; message: string } | null;
  incomplete_details: { reason: "max_output_tokens" } | null;
  instructions: string | null;
  max_output_tokens: number | null;
  metadata: Readonly<Record<string, string>>;
  model: string;
  output: OutputMessage[];
  parallel_tool_calls: boolean;
  previous_response_id: string | null;
  store: boolean;
  temperature: number;
  text: { format: TextFormat };
  tool_choice: "auto";
  tools: [];
  top_p: number;
  truncation: "disabled";
  usage: ResponseUsage | null;
}

/** Where an event belongs in the response. */
interface InPart {
  item_id: string;
  output_index: 0;
  content_index: 0;
}

/** An event of a streamed response. */
export type ResponseEvent = { sequence_number: number } & (
  | {
      type:
        | "response.created"
        | "response.in_progress"
        | "response.completed"
        | "response.incomplete"
        | "response.failed";
      response: ModelResponse;
    }
  | { type: "response.output_item.added" | "response.output_item.done"; output_index: 0; item: OutputMessage }
  | ({ type: "response.content_part.added" | "response.content_part.done"; part: OutputText } & InPart)
  | ({ type: "response.output_text.delta"; delta: string; logprobs: TokenLogprobParam[] } & InPart)
  | ({ type: "response.output_text.done"; text: string; logprobs: TokenLogprobParam[] } & InPart)
);
