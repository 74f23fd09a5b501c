import { expect, test } from "vitest";
import { PromptLookup } from "../../../src/models/chat/prompt-lookup.js";

const add = (lookup: PromptLookup, ...tokens: number[]): void => {
  for (const token of tokens) lookup.add(token);
};

test("what followed three tokens before is the draft", () => {
  const lookup = new PromptLookup([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(lookup.draft(4)).toEqual([]);
  add(lookup, 3, 4);
  expect(lookup.draft(4)).toEqual([]);
  add(lookup, 5);
  expect(lookup.draft(3)).toEqual([6, 7, 8]);
  add(lookup, 6, 7);
  expect(lookup.draft(3)).toEqual([8, 9, 3]);
  // Another token than the one that followed.
  add(lookup, 20);
  expect(lookup.draft(3)).toEqual([]);
});

test("the latest occurrence counts, of the answer as well as of the prompt", () => {
  const lookup = new PromptLookup([1, 2, 3, 10]);
  add(lookup, 1, 2, 3, 11, 1, 2, 3);
  expect(lookup.draft(2)).toEqual([11, 1]);
});

test("a run that repeats itself is drafted as far as it is known", () => {
  const lookup = new PromptLookup([5, 5, 5]);
  add(lookup, 5);
  expect(lookup.draft(4)).toEqual([5]);
  add(lookup, 5);
  expect(lookup.draft(4)).toEqual([5]);
});

test("after a failure more tokens must repeat, and after a success none", () => {
  const text = Array.from({ length: 40 }, (_, i) => 100 + i);
  const lookup = new PromptLookup(text);
  add(lookup, 100, 101, 102);
  expect(lookup.draft(1)).toEqual([103]);
  lookup.learn(0);
  expect(lookup.draft(1)).toEqual([]);
  add(lookup, 103, 104, 105);
  expect(lookup.repeats).toBe(false);
  add(lookup, 106);
  expect(lookup.draft(1)).toEqual([107]);
  lookup.learn(0);
  add(lookup, 107, 108, 109);
  expect(lookup.repeats).toBe(false);
  add(lookup, 110);
  expect(lookup.repeats).toBe(true);
  lookup.learn(2);
  add(lookup, 7, 120, 121, 122);
  expect(lookup.draft(1)).toEqual([123]);
});

test("drafts agree with a search of the whole text, on random texts", () => {
  let seed = 1;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 16) % below;
  };
  for (let round = 0; round < 50; round++) {
    const all = Array.from({ length: 5 + random(20) }, () => random(3));
    const lookup = new PromptLookup(all);
    // The place that is followed is kept as long as the text follows it.
    let next: number | undefined;
    const search = (): number | undefined => {
      const last = all.slice(-3).join();
      for (let end = all.length - 2; end >= 2; end--) if (all.slice(end - 2, end + 1).join() === last) return end + 1;
      return undefined;
    };
    next = search();
    for (let step = 0; step < 60; step++) {
      expect(lookup.draft(8)).toEqual(next === undefined ? [] : all.slice(next, next + 8));
      const token = random(3);
      const follows = next !== undefined && all[next] === token;
      all.push(token);
      lookup.add(token);
      next = follows ? next! + 1 : search();
    }
  }
});
