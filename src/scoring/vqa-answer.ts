/**
 * Normalisation of answers as the VQA challenge describes it: lower case, no articles, no punctuation except in numbers, number words as
 * digits, and apostrophes in contractions. Source: https://visualqa.org/evaluation.html
 */
export function vqaNormal(answer: string): string {
  const line = answer
    .replace(/[\n\t]/g, " ")
    .trim()
    .toLowerCase();
  const words = withoutPunctuation(line)
    .split(/\s+/)
    .map((word) => NUMBERS[word] ?? word)
    .filter((word) => word !== "" && !ARTICLES.has(word))
    .map((word) => CONTRACTIONS[word] ?? word);
  return words.join(" ");
}

const ARTICLES = new Set(["a", "an", "the"]);

const NUMBERS: Readonly<Record<string, string>> = {
  none: "0",
  zero: "0",
  one: "1",
  two: "2",
  three: "3",
  four: "4",
  five: "5",
  six: "6",
  seven: "7",
  eight: "8",
  nine: "9",
  ten: "10",
};

const PUNCTUATION = [...';/[]"{}()=+\\_-><@`,?!'];

/** Removes each mark that has a space beside it anywhere, or all where there is a decimal comma; others become spaces. */
function withoutPunctuation(text: string): string {
  const hasComma = /\d,\d/.test(text);
  const plain = PUNCTUATION.reduce((line, mark) => {
    const isApart = text.includes(`${mark} `) || text.includes(` ${mark}`);
    return line.replaceAll(mark, isApart || hasComma ? "" : " ");
  }, text);
  // A full stop stays within a number.
  return plain.replace(/\.(?!\d)/g, "");
}

/** Forms of English verbs that take an apostrophe, without it. */
const STEMS = {
  "n't": "are ca could did does do had has have is might must need ought should was were wo would",
  "'d": "he how i it she that there they we what where who you",
  "'ll": "how it that they what who you",
  "'s": "he how she somebody someone something that there what where who why let",
  "'ve": "could i might must should they we what who would you",
  "'re": "they what who why you",
  "'m": "i",
} as const;

/** Words that are spelt alike without their apostrophe. */
const AMBIGUOUS = new Set(["hell", "shell", "well", "ill", "id", "wed", "shed", "were", "its", "wont", "cant"]);

const CONTRACTIONS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(STEMS).flatMap(([ending, stems]) =>
    stems
      .split(" ")
      .map((stem) => [`${stem}${ending.replace("'", "")}`, `${stem}${ending}`] as const)
      .filter(([bare]) => !AMBIGUOUS.has(bare)),
  ),
);
