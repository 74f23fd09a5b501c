import { RequestError } from "./api-error.js";
import { checkFields, isText, objectAt, optional, shown } from "./fields.js";

/** What embeds texts: a vector each, and the tokens of all. */
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

/** OpenAI's embeddings: `input` is a text or a list of texts. Throws RequestError, and what `embed` does. */
export async function createEmbeddings(
  embed: EmbedTexts,
  name: string,
  request: unknown,
  signal: AbortSignal,
): Promise<EmbeddingList> {
  const fields = objectAt("request", request);
  checkFields("", fields, FIELDS);
  const { input, dimensions } = fields;
  const texts: readonly unknown[] = Array.isArray(input) ? input : [input];
  if (!texts.every(isText) || texts.includes("") || texts.length === 0 || texts.length > MOST_TEXTS) {
    throw new RequestError("input", {
      expected: `a text or a list of at most ${MOST_TEXTS} texts, none of them empty`,
      got: shown(input),
      remedy: "send texts: ids of tokens are not taken",
    });
  }
  if (dimensions !== undefined && dimensions !== null) {
    const remedy = "leave it out: vectors are as wide as the model";
    throw new RequestError("dimensions", { expected: "none", got: shown(dimensions), remedy });
  }
  const isFormat = (value: unknown): value is "float" | "base64" => value === "float" || value === "base64";
  const format = optional(fields, "encoding_format", "float or base64", isFormat) ?? "float";
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
