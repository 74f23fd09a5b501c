import { describe, expect, test } from "vitest";
import { OptionError } from "../../../src/base/errors.js";
import { inspectPicture } from "../../../src/io/pictures/inspect-picture.js";
import { clipSize } from "../../../src/io/video/clip-size.js";
import type { AttendedMedium } from "../../../src/models/chat/answer-attention.js";
import type { Session } from "../../../src/models/chat/session.js";
import { LlavaOneVision, type LoadOptions } from "../../../src/models/llava-onevision.js";
import { checkpointFiles, TINY } from "../../support/checkpoint.js";
import { type DrawnObject, drawing } from "../../support/drawings.js";
import { exampleFile } from "../../support/examples.js";
import { useTiny } from "../../support/tiny-model.js";

// What the model looked at: places of pictures, and whether they are the right ones.

/** A software adapter takes two seconds for one. */
const DRAWINGS = 4;

const COLOR = /red|green|blue|yellow|purple|orange|black|white/;

const tiny = useTiny();

/** Mean of a map's values in an object and beside it, pixel by pixel. */
function heat({ maps: [map], width, height }: AttendedMedium, object: DrawnObject): { on: number; off: number } {
  const sums = { on: 0, off: 0 };
  const pixels = { on: 0, off: 0 };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const where = object.covers(x + 0.5, y + 0.5) ? "on" : "off";
      const cell = Math.floor((y * map!.rows) / height) * map!.columns + Math.floor((x * map!.columns) / width);
      sums[where] += map!.values[cell]!;
      pixels[where]++;
    }
  }
  return { on: sums.on / pixels.on, off: sums.off / pixels.off };
}

/** Asks about a drawing's first object; the number of the token that names a color. */
async function askColor(session: Session, series: number, n: number): Promise<{ object: DrawnObject; token: number }> {
  const { picture, objects } = drawing(series, n);
  const object = objects[0]!;
  const question = { type: "text" as const, text: `What color is the ${object.shape}?` };
  const words: string[] = [];
  for await (const { text, token } of session.generate([{ type: "image", image: picture }, question])) {
    if (token !== undefined) words.push(text);
  }
  return { object, token: words.findIndex((word) => COLOR.test(word)) };
}

test("for the word of a color, the object asked about gets more than what is beside it", async () => {
  const found: string[] = [];
  let higher = 0;
  for (let n = 0; n < DRAWINGS; n++) {
    using session = tiny.model.createSession();
    const { object, token } = await askColor(session, 1, n);
    expect(token).toBeGreaterThanOrEqual(0);
    const { media } = await session.attention({ tokens: [token] });
    const { on, off } = heat(media[0]!, object);
    if (on > off) higher++;
    found.push((on / off).toFixed(1));
  }
  console.log(
    `heat on the object over heat beside it: ${found.join(", ")}; above 1 for ${higher} of ${DRAWINGS} drawings`,
  );
  expect(higher).toBe(DRAWINGS);
});

describe("looking", () => {
  test.each(["f32", "f16", "q8"] as const)(
    "changes nothing in a cache of %s: memory and the next answer are as they were",
    async (cacheDtype) => {
      const held = await LlavaOneVision.load(await checkpointFiles(TINY), { device: tiny.device, cacheDtype });
      try {
        using session = held.createSession();
        using other = held.createSession();
        await Promise.all([askColor(session, 2, 4), askColor(other, 2, 4)]);
        const bytes = tiny.device.pool.liveBytes;
        await session.attention();
        await session.attention({ tokens: [0, 2], layers: [1], heads: [0, 3] });
        expect(tiny.device.pool.liveBytes).toBe(bytes);
        const next = { maxNewTokens: 12, logprobs: true, minNewTokens: 12 };
        const [one, two] = await Promise.all([
          session.generate("What do you see?", next).result,
          other.generate("What do you see?", next).result,
        ]);
        expect(one.tokens).toEqual(two.tokens);
        expect(one.logprobs).toEqual(two.logprobs);
      } finally {
        held.dispose();
      }
    },
  );

  test("of several layers is the mean of each alone, and a layer named twice counts once", async () => {
    using session = tiny.model.createSession();
    await askColor(session, 1, 3);
    const [first, second, both, twice] = [
      await session.attention({ layers: [0] }),
      await session.attention({ layers: [2] }),
      await session.attention({ layers: [0, 2] }),
      await session.attention({ layers: [2, 2] }),
    ];
    for (const { textShare, media } of [first, second, both, twice]) {
      expect(media.reduce((sum, { share }) => sum + share, textShare)).toBeCloseTo(1, 5);
    }
    expect(both.media[0]!.share).toBeCloseTo((first.media[0]!.share + second.media[0]!.share) / 2, 5);
    expect(twice).toEqual({ ...second, layers: [2] });
  });

  test.each<LoadOptions["cacheDtype"]>(["f16", "q8"])(
    "gives the same maps with a KV cache of %s",
    async (cacheDtype) => {
      const held = await LlavaOneVision.load(await checkpointFiles(TINY), {
        device: tiny.device,
        cacheDtype: cacheDtype!,
      });
      try {
        using session = held.createSession();
        using exact = tiny.model.createSession();
        await Promise.all([askColor(session, 1, 2), askColor(exact, 1, 2)]);
        const [seen, wanted] = await Promise.all([
          session.attention({ tokens: [0] }),
          exact.attention({ tokens: [0] }),
        ]);
        expect(seen.media[0]!.share).toBeCloseTo(wanted.media[0]!.share, 2);
        const [a, b] = [seen.media[0]!.maps[0]!.values, wanted.media[0]!.maps[0]!.values];
        const largest = Math.max(...b);
        expect(Math.max(...a.map((value, i) => Math.abs(value - b[i]!)))).toBeLessThan(0.05 * largest);
      } finally {
        held.dispose();
      }
    },
  );

  test("gives a map for every picture and every frame", async () => {
    using session = tiny.model.createSession();
    const [one, two, video] = await Promise.all(["09-pair-1.png", "09-pair-2.png", "13-clip.mp4"].map(exampleFile));
    await session.generate([
      { type: "image", image: one! },
      { type: "image", image: two! },
      { type: "video", video: video!, frames: 4 },
      { type: "text", text: "What changed?" },
    ]).result;
    const { media, textShare } = await session.attention();
    const sizes = [inspectPicture(one!, "one"), inspectPicture(two!, "two"), await clipSize(video!, "video")];
    expect(media.map(({ kind, width, height, maps }) => [kind, width, height, maps.length])).toEqual([
      ["image", sizes[0]!.width, sizes[0]!.height, 1],
      ["image", sizes[1]!.width, sizes[1]!.height, 1],
      ["video", sizes[2]!.width, sizes[2]!.height, 4],
    ]);
    expect(media[2]!.maps.map(({ rows, columns }) => [rows, columns])).toEqual(Array(4).fill([5, 5]));
    expect(media[2]!.maps.every(({ seconds }, i) => i === 0 || seconds! > media[2]!.maps[i - 1]!.seconds!)).toBe(true);
    const all = media.reduce((sum, { share }) => sum + share, textShare);
    expect(all).toBeCloseTo(1, 6);
    expect(textShare).toBeGreaterThan(0);
    expect(textShare).toBeLessThan(1);
  });

  test("wants an answer, and numbers that there are", async () => {
    using session = tiny.model.createSession();
    await expect(session.attention()).rejects.toThrow(OptionError);
    const { token } = await askColor(session, 1, 0);
    await expect(session.attention({ tokens: [99] })).rejects.toThrow(
      /session.attention, tokens: expected numbers from 0/,
    );
    await expect(session.attention({ layers: [-1] })).rejects.toThrow(OptionError);
    await expect(session.attention({ heads: [] })).rejects.toThrow(OptionError);
    await expect(session.attention({ word: 1 } as object)).rejects.toThrow(OptionError);
    const signal = AbortSignal.abort();
    await expect(session.attention({ signal })).rejects.toThrow(/abort/);
    expect((await session.attention({ tokens: [token] })).tokens).toEqual([token]);
    session.reset();
    await expect(session.attention()).rejects.toThrow(OptionError);
  });
});
