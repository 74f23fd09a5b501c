import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { freshDrawing, KINDS } from "../../src/drawings/fresh.js";

test("the same seed gives the same pixels and questions", () => {
  for (const kind of KINDS) {
    const [one, again, other] = [freshDrawing(kind, 5), freshDrawing(kind, 5), freshDrawing(kind, 6)];
    expect(pixelsOf(again)).toBe(pixelsOf(one));
    expect(again.turns).toEqual(one.turns);
    expect(JSON.stringify(other.turns) + pixelsOf(other)).not.toBe(JSON.stringify(one.turns) + pixelsOf(one));
  }
});

test("a drawing has pictures or clips, and questions with answers", () => {
  for (const kind of KINDS) {
    for (let seed = 0; seed < 10; seed++) {
      const { pictures, clips, turns } = freshDrawing(kind, seed);
      expect(pictures.length > 0).not.toBe(clips.length > 0);
      expect(turns.length).toBeGreaterThan(0);
      for (const { question, answer } of turns) {
        expect(question).toMatch(/^[A-Z].*[.?]$/);
        expect(answer).toMatch(/^[A-Z0-9].*\.$/);
      }
      // One question has one answer.
      expect(new Map(turns.map(({ question, answer }) => [question, answer])).size).toBe(
        new Set(turns.map(({ question, answer }) => question + answer)).size,
      );
    }
  }
});

function pixelsOf({ pictures, clips }: ReturnType<typeof freshDrawing>): string {
  const hash = createHash("sha256");
  for (const { data } of [...pictures, ...clips.flat()]) hash.update(data);
  return hash.digest("hex");
}
