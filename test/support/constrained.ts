import { Tokenizer } from "../../src/io/text/tokenizer.js";
import { type Constraint, constraintFor, type Structure } from "../../src/structure/constraint.js";
import { atOnce } from "../../src/structure/time-slices.js";
import { TINY } from "./checkpoint.js";
import { readFixture } from "./fixture.js";

/** A tokenizer with what a model adds to it. */
export interface Vocabulary {
  readonly tokenizer: Tokenizer;
  readonly eosTokens: readonly number[];
  /** Rows of the model's table; more than the tokenizer has. */
  readonly size: number;
}

const text = async (path: string): Promise<string> => new TextDecoder().decode(await readFixture(path));

export async function tinyVocabulary(): Promise<Vocabulary> {
  const tokenizer = Tokenizer.parse({ tokenizer: await text(`${TINY}/tokenizer.json`) });
  return { tokenizer, eosTokens: [597], size: 640 };
}

/** Qwen2's: 151,648 tokens. */
export async function realVocabulary(): Promise<Vocabulary> {
  const packed = new Blob([(await readFixture("qwen2/tokenizer.json.gzip")) as BlobPart]);
  const json = await new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).text();
  return { tokenizer: Tokenizer.parse({ tokenizer: json }), eosTokens: [151645, 151643], size: 152_000 };
}

export function constraint({ tokenizer, eosTokens, size }: Vocabulary, structure: Structure): Constraint {
  return atOnce(constraintFor(structure, tokenizer, eosTokens, size))!;
}

/** The tokens that may come. */
export function allowed({ size }: Vocabulary, one: Constraint, left = 1e6): Set<number> {
  const mask = new Uint32Array(Math.ceil(size / 32));
  one.allow(mask, left);
  const found = new Set<number>();
  for (let token = 0; token < mask.length * 32; token++)
    if ((mask[token >>> 5]! >>> (token & 31)) & 1) found.add(token);
  return found;
}

/** A random answer of allowed tokens, until an EOS token or `budget` tokens. */
export function randomAnswer(
  vocabulary: Vocabulary,
  structure: Structure,
  next: () => number,
  budget: number,
): { text: string; ended: boolean } {
  const one = constraint(vocabulary, structure);
  const tokens: number[] = [];
  while (tokens.length < budget) {
    const choices = [...allowed(vocabulary, one, budget - tokens.length)];
    const token = choices[Math.floor(next() * choices.length)];
    if (token === undefined) throw new Error(`nothing may follow ${vocabulary.tokenizer.decode(tokens)}`);
    if (vocabulary.eosTokens.includes(token)) return { text: vocabulary.tokenizer.decode(tokens), ended: true };
    tokens.push(token);
    one.accept(token);
  }
  return { text: vocabulary.tokenizer.decode(tokens), ended: false };
}

/** Whether every token of the text's encoding is allowed, followed by an EOS token. */
export function accepts(vocabulary: Vocabulary, structure: Structure, content: string): boolean {
  const one = constraint(vocabulary, structure);
  for (const token of vocabulary.tokenizer.encode(content)) {
    if (!allowed(vocabulary, one).has(token)) return false;
    one.accept(token);
  }
  return allowed(vocabulary, one).has(vocabulary.eosTokens[0]!);
}
