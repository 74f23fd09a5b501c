/** What a tokenizer.json may ask of every text: expressions that match in linear time, and normalisation to Unicode forms. */
import { isObject } from "../../base/is-object.js";

/** Ids are below it; the largest published vocabularies have a quarter of it. */
export const MOST_TOKENS = 2 ** 20;
/** Several merges may make the same token. */
export const MOST_MERGES = 2 ** 21;
/** Characters of an added token. Texts are searched for tokens of every length, at every place. */
export const MOST_ADDED_CHARACTERS = 128;
/** Parts of a sequence, nested ones included. */
const MOST_PARTS = 16;

/** White space. Without it, expressions for some of it would read a run of spaces once for each of them. */
const SPACES = "\\s+";
/**
 * The alternatives of the split expressions of GPT-2, Qwen2, Llama 3 and GPT-4: what one of them reads without a match is short, or the
 * next alternative takes it. JavaScript's RegExp takes quadratic or exponential time for others.
 */
const ALTERNATIVES = [
  ...["(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'s|'t|'re|'ve|'m|'ll|'d", "'(?:[sdmt]|ll|ve|re)"],
  ...["[^\\r\\n\\p{L}\\p{N}]?\\p{L}+", " ?\\p{L}+", " ?\\p{N}+", "\\p{N}{1,3}", "\\p{N}+", "\\p{N}", "\\p{L}+"],
  ...[" ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*", " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*", " ?[^\\s\\p{L}\\p{N}]+"],
  ...["\\s*[\\r\\n]+", "\\s+(?!\\S)", SPACES],
];

const NORMALIZERS = ["NFC", "NFD", "NFKC", "NFKD", "Lowercase"];
const PRE_TOKENIZERS = ["ByteLevel", "Digits", "Split"];
const BEHAVIORS = ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"];

/** Returns why a pre-tokenizer is refused; undefined if it is within the bounds. */
export function preTokenizerFault(node: unknown): string | undefined {
  const parts = partsOf(node, "pretokenizers");
  if (parts === undefined) return `a sequence of more than ${MOST_PARTS} parts`;
  for (const part of parts) {
    const { type, pattern, behavior } = part;
    if (!PRE_TOKENIZERS.includes(type as string)) return `one of type ${shown(type)}`;
    if (behavior !== undefined && !BEHAVIORS.includes(behavior as string)) return `the behavior ${shown(behavior)}`;
    if (type !== "Split" || pattern === undefined) continue;
    const { Regex, String: literal } = isObject(pattern) ? (pattern as Part) : {};
    if (typeof literal === "string" && literal !== "" && Regex === undefined) continue;
    if (!(typeof Regex === "string" && isLinear(Regex))) return `the expression ${shown(Regex ?? pattern)}`;
  }
  return undefined;
}

/** Returns why a normalizer is refused; undefined for none, and for one within the bounds. */
export function normalizerFault(node: unknown): string | undefined {
  if (node === null || node === undefined) return undefined;
  const parts = partsOf(node, "normalizers");
  if (parts === undefined) return `a sequence of more than ${MOST_PARTS} parts`;
  const other = parts.find(({ type }) => !NORMALIZERS.includes(type as string));
  return other && `one of type ${shown(other.type)}`;
}

export const PRE_TOKENIZER = `${PRE_TOKENIZERS.join(", ")} or a sequence of them, with the split expression of Qwen2 or alternatives of it`;
export const NORMALIZER = `${NORMALIZERS.join(", ")} or a sequence of them`;

type Part = Readonly<Record<string, unknown>>;

/** Flattens nested sequences; undefined for too many parts. */
function partsOf(node: unknown, list: string): Part[] | undefined {
  const parts: Part[] = [];
  const open: unknown[] = [node];
  let count = 0;
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (++count > MOST_PARTS) return undefined;
    const part: Part = isObject(next) ? (next as Part) : {};
    const inner = part[list];
    if (part.type !== "Sequence" || !Array.isArray(inner)) parts.push(part);
    else if (inner.length > MOST_PARTS) return undefined;
    else open.push(...inner);
  }
  return parts;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

/** Whether an expression has known alternatives only, and takes every run of white space if it reads some. */
function isLinear(regex: string): boolean {
  const found = new Set<string>();
  for (let rest = regex; ; ) {
    const next = ALTERNATIVES.find((one) => rest === one || rest.startsWith(`${one}|`));
    if (next === undefined) return false;
    found.add(next);
    if (rest === next) break;
    rest = rest.slice(next.length + 1);
  }
  return found.has(SPACES) || ![...found].some((one) => one.startsWith("\\s"));
}
