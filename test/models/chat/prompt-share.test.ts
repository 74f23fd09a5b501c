import { expect, test } from "vitest";
import { PromptShare } from "../../../src/models/chat/prompt-share.js";

/** Runs as many pieces of the given milliseconds, and returns which of them steps had to wait for. */
async function heldOf(pieceMs: number, pieces: number, mostMs?: number): Promise<boolean[]> {
  let time = 0;
  let released = 0;
  const share: PromptShare = new PromptShare(
    () => {
      released++;
      expect(share.holds).toBe(false);
    },
    mostMs,
    () => time,
  );
  const held: boolean[] = [];
  for (let i = 0; i < pieces; i++) {
    await share.piece(async () => {
      held.push(share.holds);
      time += pieceMs;
    });
  }
  expect(released).toBe(held.filter((own) => !own).length);
  return held;
}

test("short pieces follow each other without a step for as long as is allowed", async () => {
  // The duration of the first is not known.
  expect(await heldOf(8, 7, 20)).toEqual([false, true, false, true, false, true, false]);
  expect(await heldOf(5, 8, 20)).toEqual([false, true, true, true, false, true, true, true]);
});

test("between long pieces there is a step", async () => {
  expect(await heldOf(11, 4, 20)).toEqual([false, false, false, false]);
  expect(await heldOf(1, 4, 0)).toEqual([false, false, false, false]);
});

test("steps go on after a piece that failed", async () => {
  const share = new PromptShare(
    () => {},
    1000,
    () => 0,
  );
  await share.piece(async () => {});
  const failing = share.piece(async () => {
    throw new Error("no memory for this chunk");
  });
  expect(share.holds).toBe(true);
  await expect(failing).rejects.toThrow("no memory");
  expect(share.holds).toBe(false);
});
