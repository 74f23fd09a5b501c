import { vqaNormal } from "./vqa-answer.js";

/** A metric: the score of a predicted answer, from 0 to 1, against the reference answers. */
export type Metric = (prediction: string, answers: readonly string[]) => number;

export type MetricName = "exact" | "relaxed" | "anls" | "vqa" | "choice";

/** Metrics by name, with their published definitions. */
export const METRICS: Readonly<Record<MetricName, Metric>> = { exact, relaxed, anls, vqa, choice };

/** 1 if the prediction is one of the answers, white space around them aside. */
function exact(prediction: string, answers: readonly string[]): number {
  return Number(answers.some((answer) => answer.trim() === prediction.trim()));
}

/** Largest relative error of a number in `relaxed`. */
const TOLERANCE = 0.05;

/**
 * Relaxed accuracy of ChartQA (arXiv 2203.10244, section 5): 1 if prediction and answer are numbers that differ by at most 5 % of the
 * answer, or the same text in any case. A number may end in %, which divides it by 100.
 */
function relaxed(prediction: string, answers: readonly string[]): number {
  const predicted = prediction.trim();
  return Number(
    answers.some((given) => {
      const answer = given.trim();
      const [got, wanted] = [numberOf(predicted), numberOf(answer)];
      // Of zero there is no relative error.
      if (got !== undefined && wanted) return Math.abs(got - wanted) / Math.abs(wanted) <= TOLERANCE;
      return predicted.toLowerCase() === answer.toLowerCase();
    }),
  );
}

function numberOf(text: string): number | undefined {
  const [, digits, percent] = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(%?)$/i.exec(text) ?? [];
  if (digits === undefined) return undefined;
  return percent === "%" ? Number(digits) / 100 : Number(digits);
}

/** A prediction whose normalised distance is at least this scores 0. */
const THRESHOLD = 0.5;

/**
 * Average normalised Levenshtein similarity of ST-VQA and DocVQA (arXiv 1907.00490, equation 1): the best over the answers of
 * `1 − NL`, or 0 where `NL = distance / longer length` is 0.5 or more. Case and runs of white space do not count.
 */
function anls(prediction: string, answers: readonly string[]): number {
  const plain = (text: string): string[] => [...text.trim().toLowerCase().split(/\s+/).join(" ")];
  const got = plain(prediction);
  return Math.max(
    0,
    ...answers.map((answer) => {
      const wanted = plain(answer);
      const longer = Math.max(got.length, wanted.length);
      const distance = longer === 0 ? 0 : levenshtein(got, wanted) / longer;
      return distance < THRESHOLD ? 1 - distance : 0;
    }),
  );
}

/** Insertions, deletions and replacements from one sequence to another (Levenshtein, 1966). */
export function levenshtein(a: readonly string[], b: readonly string[]): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (const [i, one] of a.entries()) {
    const row = [i + 1];
    for (const [j, other] of b.entries()) {
      row.push(Math.min(row[j]! + 1, previous[j + 1]! + 1, previous[j]! + Number(one !== other)));
    }
    previous = row;
  }
  return previous[b.length]!;
}

/** Answers of other people that make an answer right. */
const AGREEING = 3;

/**
 * Accuracy of VQA (arXiv 1505.00468, section 4): `min(agreeing answers / 3, 1)`, averaged over all choices of all but one of the
 * answers, after normalisation. A single answer is right or wrong.
 */
function vqa(prediction: string, answers: readonly string[]): number {
  const got = vqaNormal(prediction);
  const matches = answers.map((answer) => vqaNormal(answer) === got);
  const [first] = matches;
  if (matches.length === 1) return Number(first);
  const agreeing = matches.filter(Boolean).length;
  const scores = matches.map((own) => Math.min((agreeing - Number(own)) / AGREEING, 1));
  return scores.reduce((sum, score) => sum + score, 0) / scores.length;
}

/** 1 if the letter that the prediction chooses is that of an answer: "B", "(b)", "B. a dog", "The answer is B." */
function choice(prediction: string, answers: readonly string[]): number {
  const got = letterOf(prediction);
  return Number(got !== undefined && answers.some((answer) => letterOf(answer) === got));
}

function letterOf(text: string): string | undefined {
  const trimmed = text.trim();
  const [, alone] = /^[([]?([A-Za-z])(?:[)\].:,]|$)/.exec(trimmed) ?? [];
  const [, said] = /\b(?:answer|option|choice)\b(?:\s+is)?\s*:?\s*[([]?([A-Z])\b/i.exec(trimmed) ?? [];
  const [, capital] = /(?:^|[\s([])([B-HJ-Z])(?:[)\].:,]|\s|$)/.exec(trimmed) ?? [];
  return (alone ?? said ?? capital)?.toUpperCase();
}
