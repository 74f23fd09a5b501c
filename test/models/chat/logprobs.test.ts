import { expect, test } from "vitest";
import { logprobsOf } from "../../../src/models/chat/logprobs.js";
import { normals } from "../../support/random.js";

const tokenizer = { size: 300, bytesOf: (token: number) => Uint8Array.of(token & 255) };

test("logprobs are the log-softmax of the logits of tokens that there are", () => {
  // Rows of the table beyond the tokenizer have no token.
  const logits = normals(320, 1, 5);
  logits.fill(1e4, 300);
  const { token, logprob, top } = logprobsOf(logits, 7, 5, tokenizer);
  const own = Array.from(logits.subarray(0, 300));
  const whole = Math.log(own.reduce((sum, logit) => sum + Math.exp(logit), 0));
  expect([token, logprob]).toEqual([7, expect.closeTo(logits[7]! - whole, 10)]);
  const sorted = own.map((logit, i) => [logit, i] as const).sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  expect(top.map((chance) => chance.token)).toEqual(sorted.slice(0, 5).map(([, i]) => i));
  for (const chance of top) expect(chance.logprob).toBeCloseTo(own[chance.token]! - whole, 10);
});

test("equals keep the order of their ids, and there are no more than tokens", () => {
  const small = { ...tokenizer, size: 4 };
  const { top } = logprobsOf(Float32Array.of(1, 2, 2, 1), 0, 3, small);
  expect(top.map(({ token }) => token)).toEqual([1, 2, 0]);
  expect(logprobsOf(Float32Array.of(1, 2, 2, 1), 0, 9, small).top).toHaveLength(4);
  expect(logprobsOf(Float32Array.of(1, 2, 2, 1), 0, 0, small).top).toEqual([]);
});

test("large logits do not overflow, and bytes that are no text are told as they are", () => {
  const { logprob, text, bytes } = logprobsOf(Float32Array.of(1e30, -1e30), 0, 0, {
    size: 2,
    bytesOf: () => Uint8Array.of(0xe2, 0x82),
  });
  expect([logprob, text, bytes]).toEqual([0, "\ufffd", [0xe2, 0x82]]);
});
