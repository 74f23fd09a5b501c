import { Ajv2020 } from "ajv/dist/2020.js";
import { expect } from "vitest";
import { accepts, randomAnswer, type Vocabulary } from "./constrained.js";
import { random } from "./random.js";

export const ajv = new Ajv2020({
  strict: false,
  formats: {
    // Other days than there are become days of the next month.
    date: (text: string) => JSON.stringify(new Date(`${text}T00:00:00Z`)).startsWith(`"${text}`),
    time: (text: string) => !Number.isNaN(Date.parse(`2024-01-01T${text}`)),
    ipv4: (text: string) => /^\d+(\.\d+){3}$/.test(text) && text.split(".").every((part) => Number(part) < 256),
  },
});

/** A text as an answer of random tokens gives it, and what is wrong with it. */
export function faultOf(vocabulary: Vocabulary, schema: object, seed: number, budget = 96): string | undefined {
  const { text, ended } = randomAnswer(vocabulary, { schema }, random(seed), budget);
  if (!ended) return `not ended: ${text}`;
  const validate = ajv.compile(schema);
  return validate(JSON.parse(text)) ? undefined : `${text}: ${ajv.errorsText(validate.errors)}`;
}

/** Right texts are valid and allowed, wrong ones are not allowed, and random answers are valid. */
export function checkTexts(
  vocabulary: Vocabulary,
  schema: object,
  right: readonly string[],
  wrong: readonly string[],
): void {
  const validate = ajv.compile(schema);
  for (const text of right) {
    expect(validate(JSON.parse(text)), text).toBe(true);
    expect(accepts(vocabulary, { schema }, text), text).toBe(true);
  }
  for (const text of wrong) expect(accepts(vocabulary, { schema }, text), text).toBe(false);
  for (let seed = 0; seed < 20; seed++) expect(faultOf(vocabulary, schema, seed)).toBeUndefined();
}
