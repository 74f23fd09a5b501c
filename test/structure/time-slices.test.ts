import { expect, it } from "vitest";
import { atOnce, inTimeSlices, TimeSlice } from "../../src/structure/time-slices.js";

const busy = (milliseconds: number): void => {
  for (const begun = performance.now(); performance.now() - begun < milliseconds; );
};

function* work(turns: number): Generator<void, string> {
  const turn = new TimeSlice();
  for (let i = 0; i < turns; i++) {
    busy(20);
    if (turn.over()) {
      yield;
      turn.begin();
    }
  }
  return "done";
}

it("a turn is over after some milliseconds, and what others take is not counted", () => {
  const turn = new TimeSlice();
  expect(turn.over()).toBe(false);
  busy(20);
  expect(turn.over()).toBe(true);
  busy(20);
  turn.begin();
  expect(turn.over()).toBe(false);
});

it("others have their turn between", async () => {
  let others = 0;
  const timer = setInterval(() => others++);
  expect(await inTimeSlices(work(5), () => undefined)).toBe("done");
  clearInterval(timer);
  expect(others).toBeGreaterThan(0);
});

it("work ends where the check throws", async () => {
  let checks = 0;
  const check = (): void => {
    if (++checks === 2) throw new Error("aborted");
  };
  await expect(inTimeSlices(work(50), check)).rejects.toThrow("aborted");
  expect(checks).toBe(2);
});

it("or all is done at once", () => {
  expect(atOnce(work(2))).toBe("done");
});
