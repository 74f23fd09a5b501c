import { expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { broken, cut } from "../../../src/io/video/mp4-faults.js";

it("a broken box is named by its type and place", () => {
  const error = broken("a.mp4", { type: "stsz", offsetBytes: 40 }, "12 entries", "3");
  expect(error).toBeInstanceOf(MediaError);
  expect(error.message).toBe('a.mp4, box "stsz" at byte 40: expected 12 entries, got 3 — get an undamaged copy');
});

it("of a file that is cut, the missing part of the box is counted from its beginning", () => {
  expect(cut("a.mp4", { type: "moov", offsetBytes: 40 }, 500, 100).message).toBe(
    'a.mp4, box "moov" at byte 40: expected 500 bytes, got a file that ends after 60 of them — ' +
      "the file is cut; get a complete copy",
  );
});

it("a file that is cut in its media lacks the index behind them", () => {
  expect(cut("a.mp4", { type: "mdat", offsetBytes: 8 }, 500, 8).fault).toMatchObject({
    expected: "500 bytes of media and an index after them",
    got: "a file that ends after 0 of them",
  });
});

it("a type of control characters cannot reach the terminal", () => {
  const error = broken("a.mp4", { type: "\u001b[2J", offsetBytes: 0 }, "x", "y");
  expect(error.message).not.toContain("\u001b");
  expect(error.message).toContain("[2J");
});
