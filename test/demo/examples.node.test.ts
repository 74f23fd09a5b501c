import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { inspectPicture } from "../../src/io/picture-input.js";
import { readFrames } from "../../src/io/video.js";
import { ROOT } from "../support/cli.js";

// The media of the page's examples; what Tiny answers about its own is tested with the page.

interface Example {
  readonly title: string;
  readonly kind: string;
  readonly files: readonly string[];
  readonly frames?: number;
  readonly answer?: string;
}

const EXAMPLES = JSON.parse(readFileSync(join(ROOT, "demo/examples.json"), "utf8")) as Example[];

test("full models have an example of every capability", () => {
  const kinds = EXAMPLES.filter(({ answer }) => answer === undefined).map(({ kind }) => kind);
  expect(kinds).toEqual([
    "picture",
    "chart",
    "table",
    "change",
    "marks",
    "clip",
    "clips",
    "cameras",
    "prompt",
    "detail",
  ]);
});

test.each(EXAMPLES)(
  "$title: all files are pictures or clips that the library reads",
  async ({ files, frames, answer }) => {
    const folder = join(ROOT, answer === undefined ? "demo/examples" : "models/tiny/examples");
    for (const name of files) {
      const bytes = readFileSync(join(folder, name));
      if (frames === undefined) {
        const { width, height } = inspectPicture(bytes, name);
        expect(Math.min(width, height)).toBeGreaterThan(70);
      } else {
        let count = 0;
        for await (const { picture } of readFrames(bytes, { frames })) count += picture.width > 70 ? 1 : 0;
        expect(count).toBe(frames);
      }
    }
  },
);
