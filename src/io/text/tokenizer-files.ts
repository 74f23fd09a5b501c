/** Validates the three tokenizer files, with errors that name file and field. */
import { CheckpointError } from "../../base/errors.js";
import { isObject } from "../../base/is-object.js";
import {
  MOST_ADDED_CHARACTERS,
  MOST_MERGES,
  MOST_TOKENS,
  NORMALIZER,
  normalizerFault,
  PRE_TOKENIZER,
  preTokenizerFault,
} from "./tokenizer-bounds.js";

/** A token outside the BPE vocabulary, matched in the text before pre-tokenisation. */
export interface AddedToken {
  id: number;
  content: string;
  single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
  normalized: boolean;
  special: boolean;
}

/** The validated contents of `tokenizer.json`. */
export interface TokenizerJson {
  normalizer: unknown;
  preTokenizer: unknown;
  vocab: Record<string, number>;
  merges: [string, string][];
  ignoreMerges: boolean;
  added: AddedToken[];
}

type Json = Record<string, unknown>;

const REMEDY = "download the file again from the checkpoint's repository";

function fault(where: string, expected: string, got: unknown, cause?: unknown): CheckpointError {
  return new CheckpointError({ where, expected, got: describe(got), remedy: REMEDY, cause });
}

function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object") return `an object with ${Object.keys(value).slice(0, 4).join(", ") || "no fields"}`;
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function asObject(where: string, value: unknown, expected = "an object"): Json {
  if (!isObject(value)) throw fault(where, expected, value);
  return value as Json;
}

function asId(where: string, value: unknown): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0) throw fault(where, "a token id", value);
  if (value >= MOST_TOKENS) throw fault(where, `a token id below ${MOST_TOKENS}`, value);
  return value;
}

/** Validates a parsed `tokenizer.json`. @throws CheckpointError naming the field. */
export function checkTokenizerJson(value: unknown): TokenizerJson {
  const file = "tokenizer.json";
  const json = asObject(file, value);
  const model = asObject(`${file}: model`, json.model);
  // Old files have no type; BPE models are recognised by their merges.
  const type = model.type ?? (Array.isArray(model.merges) ? "BPE" : undefined);
  if (type !== "BPE") throw fault(`${file}: model.type`, '"BPE"', type);
  const byteLevel = (node: unknown) => JSON.stringify(node ?? null).includes('"ByteLevel"');
  if (!byteLevel(json.pre_tokenizer)) throw fault(`${file}: pre_tokenizer`, 'one with "ByteLevel"', json.pre_tokenizer);
  if (!byteLevel(json.decoder)) throw fault(`${file}: decoder`, 'type "ByteLevel"', json.decoder);
  checkParts(`${file}: pre_tokenizer`, PRE_TOKENIZER, preTokenizerFault(json.pre_tokenizer));
  checkParts(`${file}: normalizer`, NORMALIZER, normalizerFault(json.normalizer));
  const vocab = checkVocab(`${file}: model.vocab`, model.vocab);
  return {
    normalizer: json.normalizer ?? null,
    preTokenizer: json.pre_tokenizer,
    vocab,
    merges: checkMerges(`${file}: model.merges`, model.merges, vocab),
    ignoreMerges: model.ignore_merges === true,
    added: checkAdded(`${file}: added_tokens`, json.added_tokens ?? []),
  };
}

/** Throws CheckpointError for a part of other kinds: its time or its result might have no bound. */
function checkParts(where: string, expected: string, got: string | undefined): void {
  if (got !== undefined) throw new CheckpointError({ where, expected, got, remedy: REMEDY });
}

function checkVocab(where: string, value: unknown): Record<string, number> {
  const vocab = asObject(where, value, "an object of tokens and ids");
  const owner: string[] = [];
  for (const [token, id] of Object.entries(vocab)) {
    const at = asId(`${where} ${JSON.stringify(token)}`, id);
    const other = owner[at];
    if (other !== undefined) throw fault(where, "an id for one token", `${at} for ${other} and ${token}`);
    owner[at] = token;
  }
  if (owner.length === 0) throw fault(where, "tokens", vocab);
  return vocab as Record<string, number>;
}

/** Validates merges, which are `"a b"` or `["a", "b"]` depending on the version of the writer. */
function checkMerges(where: string, value: unknown, vocab: Record<string, number>): [string, string][] {
  if (!Array.isArray(value)) throw fault(where, "a list of merges", value);
  if (value.length > MOST_MERGES) throw fault(where, `at most ${MOST_MERGES} merges`, value);
  return value.map((entry: unknown, i) => {
    const pair: unknown = typeof entry === "string" ? entry.split(" ") : entry;
    const [a, b] = Array.isArray(pair) && pair.length === 2 ? (pair as unknown[]) : [];
    if (typeof a !== "string" || typeof b !== "string") {
      throw fault(`${where}[${i}]`, 'two tokens ("a b" or ["a", "b"])', entry);
    }
    for (const token of [a, b, a + b]) {
      if (!Object.hasOwn(vocab, token)) throw fault(`${where}[${i}]`, "tokens of the vocabulary", token);
    }
    return [a, b];
  });
}

function checkAdded(where: string, value: unknown): AddedToken[] {
  if (!Array.isArray(value)) throw fault(where, "a list of added tokens", value);
  return value.map((entry: unknown, i) => {
    const token = asObject(`${where}[${i}]`, entry, "an added token");
    return addedToken(`${where}[${i}]`, asId(`${where}[${i}].id`, token.id), token);
  });
}

function addedToken(where: string, id: number, token: Json): AddedToken {
  const { content } = token;
  if (typeof content !== "string" || content === "" || content.length > MOST_ADDED_CHARACTERS) {
    throw fault(`${where}.content`, `the token's text, at most ${MOST_ADDED_CHARACTERS} characters`, content);
  }
  const flag = (name: string, otherwise: boolean) => {
    const value = token[name] ?? otherwise;
    if (typeof value !== "boolean") throw fault(`${where}.${name}`, "true or false", value);
    return value;
  };
  const special = flag("special", false);
  return {
    id,
    content,
    single_word: flag("single_word", false),
    lstrip: flag("lstrip", false),
    rstrip: flag("rstrip", false),
    normalized: flag("normalized", !special),
    special,
  };
}

/**
 * Merges the added tokens of all three files; the properties of a token are those of the first file that has it.
 * @throws CheckpointError if files disagree on the id of a token or the token of an id.
 */
export function mergeAddedTokens(json: TokenizerJson, tokenizerConfig: unknown, addedTokens: unknown): AddedToken[] {
  const taken = new Map<number, string>();
  for (const [token, id] of Object.entries(json.vocab)) taken.set(id, token);
  const merged = new Map<string, AddedToken>();
  const add = (where: string, token: AddedToken) => {
    const id =
      merged.get(token.content)?.id ??
      (Object.hasOwn(json.vocab, token.content) ? json.vocab[token.content] : token.id);
    const owner = taken.get(token.id) ?? token.content;
    if (id !== token.id) throw fault(where, `id ${id} for ${token.content}, as elsewhere in the checkpoint`, token.id);
    if (owner !== token.content)
      throw fault(where, `id ${token.id} for ${owner}, as elsewhere in the checkpoint`, token.content);
    if (merged.has(token.content)) return;
    taken.set(token.id, token.content);
    merged.set(token.content, token);
  };
  for (const token of json.added) add("tokenizer.json: added_tokens", token);

  const config = tokenizerConfig === undefined ? {} : asObject("tokenizer_config.json", tokenizerConfig);
  const decoder = asObject("tokenizer_config.json: added_tokens_decoder", config.added_tokens_decoder ?? {});
  for (const [id, entry] of Object.entries(decoder)) {
    const where = `tokenizer_config.json: added_tokens_decoder[${JSON.stringify(id)}]`;
    add(where, addedToken(where, asId(where, Number(id)), asObject(where, entry, "an added token")));
  }

  const named = namedTokens(config);
  const plain = addedTokens === undefined ? {} : asObject("added_tokens.json", addedTokens);
  for (const [content, value] of Object.entries(plain)) {
    const where = `added_tokens.json: ${JSON.stringify(content)}`;
    add(where, addedToken(where, asId(where, value), { content, special: named.has(content), normalized: false }));
  }
  return [...merged.values()];
}

/** Returns the special tokens named by `tokenizer_config.json`; `added_tokens.json` does not mark them. */
function namedTokens(config: Json): Set<unknown> {
  const extra = Array.isArray(config.additional_special_tokens) ? config.additional_special_tokens : [];
  const single = [config.bos_token, config.eos_token, config.pad_token, config.unk_token];
  const text = (token: unknown) =>
    typeof token === "object" && token !== null ? (token as { content?: unknown }).content : token;
  return new Set([...extra, ...single].map(text));
}
