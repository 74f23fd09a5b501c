import { OptionError, shown } from "./errors.js";
import { isObject } from "./is-object.js";
import { kindOf } from "./kind-of.js";

/**
 * Groups of names that other libraries and their users have for the same thing: one that is not known here means the member that is.
 * Compared without case, dashes and underscores.
 */
const SAME = [
  "maxNewTokens maxTokens maxCompletionTokens maxOutputTokens maxLength nPredict",
  "contextTokens contextLength maxModelLen nCtx",
  "stop stopSequences stopStrings",
  "schema jsonSchema responseFormat guidedJson",
  "regex guidedRegex pattern",
  "grammar guidedGrammar ebnf",
  "dtype quantization quant precision torchDtype",
  "temperature doSample",
  "frames numFrames maxFrames",
  "signal abortSignal",
  "onProgress progressCallback",
  "cacheFolder cacheDir",
  "offline localFilesOnly",
  "image imageUrl picture photo url src path images",
  "video videoUrl clip movie url src path videos",
  "system systemPrompt instructions developer",
  "user human",
  "assistant bot model ai",
  "model checkpoint weights",
  "f32 fp32 float32",
  "f16 fp16 float16 half",
  "bf16 bfloat16",
  "q8 int8 8bit q80",
  "q4 int4 4bit nf4 q40 q4km q4f16",
  "ask run generate",
].map((names) => names.split(" "));

/** Longer words are not misspelt names; the bound limits the cost of comparing untrusted input. */
const LONGEST_WORD = 64;
/** Shortest prefix that can match a name. */
const SHORTEST_BEGINNING = 3;

/**
 * Returns the name among `known` that `word` most likely misspells: equal up to case, dashes and underscores, at the smallest
 * Damerau-Levenshtein distance (at most a third of the letters), or with a common prefix. Undefined if none is near, or if `word`
 * itself is known.
 */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > LONGEST_WORD || known.includes(word)) return undefined;
  const folded = fold(word);
  if (folded === "") return undefined;
  let best: string | undefined;
  let fewest = Number.POSITIVE_INFINITY;
  for (const name of known) {
    const other = fold(name);
    const most = Math.floor(Math.max(folded.length, other.length) / 3);
    if (Math.abs(folded.length - other.length) > most) continue;
    const edits = editDistance(folded, other);
    if (edits > most || edits >= fewest) continue;
    best = name;
    fewest = edits;
  }
  if (best !== undefined) return best;
  const [alike, ...more] = known.filter((name) => beginAlike(folded, fold(name)));
  return more.length === 0 ? alike : undefined;
}

/** Returns a remedy ("did you mean …?") if `word` is near one of `known`; `written` formats a name. */
export function suggestion(
  word: string,
  known: readonly string[],
  written = (name: string): string => `\`${name}\``,
): string | undefined {
  const near = known.includes(word) ? undefined : (synonym(word, known) ?? nearest(word, known));
  if (near === undefined) return undefined;
  const question = `did you mean ${written(near)}?`;
  return near.toLowerCase() === word.toLowerCase() ? `${question} Upper and lower case count` : question;
}

/**
 * Throws OptionError unless `options` is an object whose keys are all `known`, with functions as callbacks and an AbortSignal as `signal`;
 * for another name it suggests the nearest one.
 */
export function checkOptions(where: string, options: object, known: readonly string[]): void {
  if (!isObject(options)) {
    const remedy = `pass for example { ${known[0]}: … }`;
    throw new OptionError({ where, expected: "options as an object", got: shown(options), remedy });
  }
  for (const [key, value] of Object.entries(options)) {
    if (known.includes(key)) {
      checkKind(`${where}, ${key}`, key, value);
      continue;
    }
    const near = suggestion(key, known);
    throw new OptionError({
      where,
      expected: near === undefined ? `one of ${known.join(", ")}` : "a known option",
      got: `option \`${key}\``,
      remedy: near ?? "check the name",
    });
  }
}

/** The option of loading that has the name of a callback, and is a word. */
const NO_CALLBACK = "onDeviceLost";

/** Throws OptionError for a callback that is no function, and for a signal that is none: it would be ignored, or fail later. */
function checkKind(where: string, key: string, value: unknown): void {
  if (value === undefined) return;
  if (/^on[A-Z]/.test(key) && key !== NO_CALLBACK && typeof value !== "function") {
    throw new OptionError({ where, expected: "a function", got: shown(value), remedy: "leave it out for none" });
  }
  // Not instanceof: signals of other realms.
  if (key !== "signal" || typeof Object(value).aborted === "boolean") return;
  const remedy = "pass controller.signal of an AbortController, or leave it out";
  throw new OptionError({ where, expected: "an AbortSignal", got: kindOf(value), remedy });
}

/** Returns the known name that means the same as `word`. */
function synonym(word: string, known: readonly string[]): string | undefined {
  if (word.length > LONGEST_WORD) return undefined;
  // As `torch.float16`.
  const folded = fold(word).replace(/^torch\./, "");
  const same = SAME.filter((names) => names.some((name) => fold(name) === folded)).flat();
  return known.find((name) => same.some((other) => fold(other) === fold(name)));
}

/** Folds case, dashes and underscores: `top_p`, `top-p` and `topP` compare equal. */
function fold(name: string): string {
  return name.toLowerCase().replace(/[-_\s]/g, "");
}

/** Whether `word` is a prefix of a name, or a name followed by at most its own length. */
function beginAlike(word: string, name: string): boolean {
  if (name.startsWith(word)) return word.length >= SHORTEST_BEGINNING;
  return word.startsWith(name) && name.length > SHORTEST_BEGINNING && word.length <= 2 * name.length;
}

/** Damerau-Levenshtein distance in its restricted form (optimal string alignment): a transposition is one edit. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      let edits = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) edits = Math.min(edits, before[j - 2]! + 1);
      next.push(edits);
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}
