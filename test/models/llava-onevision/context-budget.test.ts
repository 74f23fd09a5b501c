import { describe, expect, it } from "vitest";
import { ContextOverflowError } from "../../../src/base/errors.js";
import type { LlavaOneVisionConfig } from "../../../src/models/llava-onevision/config.js";
import { newTokenBudget } from "../../../src/models/llava-onevision/context-budget.js";
import type { PreparedPrompt } from "../../../src/models/llava-onevision/processor.js";

// A context of 1000 tokens, frames of 9 tokens and pictures as squares of 82.
const config = {
  text: { maxPositions: 1000 },
  pooling: { cells: 3 },
  vision: { cells: 9 },
} as unknown as LlavaOneVisionConfig;

/** A prompt of words and of media, given by their kinds and tokens. */
function prompt(words: number, ...media: ["image" | "video", number][]): PreparedPrompt {
  const length = media.reduce((sum, [, tokens]) => sum + tokens, words);
  const listed = media.map(([kind, tokens]) => ({ kind, tokens }));
  return { inputIds: new Uint32Array(length), media: listed } as unknown as PreparedPrompt;
}

function refusal(made: PreparedPrompt, wanted?: number): ContextOverflowError {
  try {
    newTokenBudget(made, config, wanted);
  } catch (error) {
    expect(error).toBeInstanceOf(ContextOverflowError);
    return error as ContextOverflowError;
  }
  throw new Error("expected a refusal");
}

describe("newTokenBudget", () => {
  it("is what is asked for, else 256 or what is left", () => {
    expect(newTokenBudget(prompt(100), config, 900)).toBe(900);
    expect(newTokenBudget(prompt(100), config, undefined)).toBe(256);
    expect(newTokenBudget(prompt(990), config, undefined)).toBe(10);
    expect(newTokenBudget(prompt(999), config, undefined)).toBe(1);
  });

  it("names the new tokens that there is room for", () => {
    const error = refusal(prompt(100), 901);
    expect(error.fault).toMatchObject({
      expected: "at most 1000 tokens in all",
      got: "100 of the prompt and 901 of the answer",
      remedy: "ask for at most 900 new tokens",
    });
    expect([error.requestedTokens, error.availableTokens]).toEqual([1001, 1000]);
  });

  it("names the frames that fit beside words, pictures and each clip's newline", () => {
    // 999 − 100 − 2 tokens for frames of 9.
    expect(refusal(prompt(100, ["video", 500], ["video", 500])).fault.remedy).toBe(
      "use at most 99 frames in all: a frame takes 9 tokens",
    );
    expect(refusal(prompt(100, ["image", 440], ["video", 900])).fault.remedy).toMatch(/at most 50 frames/);
  });

  it("names the pictures that fit, and else asks for less", () => {
    expect(refusal(prompt(100, ["image", 900])).fault.remedy).toMatch(/^give at most 10 pictures as squares/);
    const fewer = "give fewer pictures, frames or words";
    expect(refusal(prompt(1000)).fault.remedy).toBe(fewer);
    expect(refusal(prompt(950, ["image", 900])).fault.remedy).toBe(fewer);
  });
});
