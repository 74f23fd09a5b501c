import { expect, test } from "vitest";
import { ProgressLine } from "../../src/cli/progress-line.js";

/** A terminal that keeps what it shows, and a clock. */
function terminal() {
  const state = { shown: "", now: 0 };
  const stream = {
    isTTY: true,
    write: (text: string) => {
      state.shown = text.replace("\r\x1b[2K", "");
      return true;
    },
  } as NodeJS.WriteStream;
  return { state, line: new ProgressLine(stream, () => state.now) };
}

test("rate and remaining time appear when there is something to measure, whatever was waited for before", () => {
  const { state, line } = terminal();
  state.now = 60_000; // an adapter was opened meanwhile
  line.bytes("loading", 8e6, 1000e6);
  expect(state.shown).toBe("loading 8.0 of 1000.0 MB");
  state.now += 500;
  line.bytes("loading", 58e6, 1000e6);
  expect(state.shown).toBe("loading 58.0 of 1000.0 MB");
  state.now += 500;
  line.bytes("loading", 108e6, 1000e6);
  expect(state.shown).toBe("loading 108.0 of 1000.0 MB, 100.0 MB/s, 9 s left");
  line.bytes("writing", 108e6, 1000e6, 5);
  line.bytes("writing", 1000e6, 1000e6, 5);
  expect(state.shown).toBe("writing 1000.0 of 1000.0 MB");
});

test("a rate that is given, stalls and long times", () => {
  const { state, line } = terminal();
  line.bytes("downloading a:", 0, 16e9, 1e6);
  state.now += 2000;
  line.bytes("downloading a:", 2e6, 16e9, 1e6);
  expect(state.shown).toBe("downloading a: 2.0 of 16000.0 MB, 1.0 MB/s, 4 h 27 min left");
  state.now += 2000;
  line.bytes("downloading a:", 2e6, 16e9, 0);
  expect(state.shown).toBe("downloading a: 2.0 of 16000.0 MB");
});

test("things need three for an estimate", () => {
  const { state, line } = terminal();
  line.items("answered", 0, 100);
  state.now += 40_000;
  line.items("answered", 1, 100);
  expect(state.shown).toBe("answered 1 of 100");
  state.now += 20_000;
  line.items("answered", 3, 100);
  expect(state.shown).toBe("answered 3 of 100, 32 min left");
});

test("the progress of an answer ends with its first token, and says why weights are loaded again", () => {
  const { state, line } = terminal();
  state.now = 1000;
  line.answer({ stage: "vision", done: 1, total: 4 });
  expect(state.shown).toBe("vision 1 of 4");
  state.now += 200;
  line.answer({ stage: "reload", done: 2e6, total: 8e6 });
  expect(state.shown).toBe("the GPU was reset; loading again: 2.0 of 8.0 MB");
  line.answer({ stage: "decode", done: 1, total: 20 });
  expect(state.shown).toBe("");
});
