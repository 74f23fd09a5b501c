import { shown } from "../base/errors.js";
import { RequestError } from "./api-error.js";
import { checkDepth, checkFields, isText, nameAmong, objectAt } from "./fields.js";

/** Embeds texts: returns a vector per text, and the total number of tokens. */
export type EmbedTexts = (
  texts: readonly string[],
  signal: AbortSignal,
) => Promise<{ vectors: readonly Float32Array[]; tokens: number }>;

export interface EmbeddingList {
  object: "list";
  data: { object: "embedding"; index: number; embedding: number[] | string }[];
  model: string;
  usage: { prompt_tokens: number; total_tokens: number };
}

const FIELDS = ["input", "model", "encoding_format", "dimensions", "user"];
const MOST_TEXTS = 2048;

/** OpenAI's embeddings API: `input` is a text or a list of texts. Throws RequestError, and errors of `embed`. */
export async function createEmbeddings(
  embed: EmbedTexts,
  name: string,
  request: unknown,
  signal: AbortSignal,
): Promise<EmbeddingList> {
  checkDepth("request", request);
  const fields = objectAt("request", request);
  checkFields("", fields, FIELDS);
  const { input, dimensions } = fields;
  const texts: readonly unknown[] = Array.isArray(input) ? input : [input];
  if (texts.length === 0 || texts.length > MOST_TEXTS) {
    const got = texts.length === 0 ? "an empty list" : `${texts.length}`;
    const remedy = "send the texts in several requests";
    throw new RequestError("input", { expected: `1 to ${MOST_TEXTS} texts`, got, remedy });
  }
  const wrong = texts.findIndex((text) => !isText(text) || text === "");
  if (!texts.every(isText) || wrong >= 0) {
    throw new RequestError(Array.isArray(input) ? `input[${wrong}]` : "input", {
      expected: "a text that is not empty",
      got: shown(texts[wrong]),
      remedy: "send texts: token ids are not supported",
    });
  }
  if (dimensions !== undefined && dimensions !== null) {
    const remedy = "leave it out: the model determines the dimensions";
    throw new RequestError("dimensions", { expected: "none", got: shown(dimensions), remedy });
  }
  const format = nameAmong("encoding_format", fields.encoding_format ?? "float", ["float", "base64"]);
  const { vectors, tokens } = await embed(texts, signal);
  return {
    object: "list",
    data: vectors.map((vector, index) => ({
      object: "embedding",
      index,
      embedding: format === "float" ? [...vector] : base64(vector),
    })),
    model: name,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

/** Little-endian float32. */
function base64(vector: Float32Array): string {
  const bytes = new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
