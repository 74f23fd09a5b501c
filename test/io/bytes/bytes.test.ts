import { describe, expect, test } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { type Bytes, copyOf, isBytes, viewOf } from "../../../src/io/bytes/bytes.js";
import { type ByteSource, bytesSource } from "../../../src/io/bytes/source.js";
import { openSafetensors } from "../../../src/io/checkpoint/safetensors.js";
import { type PictureInput, readPicture } from "../../../src/io/pictures/picture-input.js";
import { readFrames, type VideoInput } from "../../../src/io/video/video.js";
import { Transferables } from "../../../src/worker/transferables.js";
import { byteForms } from "../../support/byte-forms.js";
import { readFixture } from "../../support/fixture.js";
import { sha256 } from "../../support/pixels.js";

// Every input that takes bytes, given every holder of bytes: the result is that of a plain Uint8Array, and the memory of the caller
// is as it was before.

const PICTURES = [
  "../../models/tiny/examples/00-shapes.png",
  ...["exif_6.jpg", "exif_6.webp", "gif_interlaced.gif", "avif_444.avif"].map((name) => `media/images/${name}`),
];
const CLIPS = [
  "../../models/tiny/examples/12-clip.mp4",
  "media/videos/h264_fragmented.mp4",
  "media/images/gif_animated.gif",
  "media/images/webp_animated.webp",
];

/** Runs `read` on each form of a file, and compares with what it gives for a plain Uint8Array. */
async function alike(file: Uint8Array, read: (bytes: Bytes) => Promise<unknown>): Promise<void> {
  const expected = await read(new Uint8Array(file));
  for (const { name, bytes, memory } of byteForms(file)) {
    const before = await memory();
    expect(await read(bytes), name).toEqual(expected);
    expect(await read(bytes), `${name}, a second time`).toEqual(expected);
    expect(await memory(), `${name}: the caller's memory`).toBe(before);
  }
}

const asBytes = (bytes: Bytes): Uint8Array => viewOf(bytes, "sent");

async function pictureOf(input: PictureInput): Promise<string> {
  const { width, height, data } = await readPicture(input, "picture");
  return `${width}×${height} ${await sha256(data)}`;
}

async function framesOf(input: VideoInput): Promise<string[]> {
  const frames: string[] = [];
  for await (const { index, picture } of readFrames(input, { frames: 2 })) {
    frames.push(`${index}: ${picture.width}×${picture.height} ${await sha256(picture.data)}`);
  }
  return frames;
}

describe("every holder of bytes gives the same and stays as it was", () => {
  test.each(PICTURES)("picture %s", async (path) => alike(await readFixture(path), pictureOf));

  test.each(CLIPS)("clip %s", async (path) => alike(await readFixture(path), framesOf));

  test("frames one by one, in an array and in an iterable", async () => {
    await alike(await readFixture(PICTURES[0]!), async (bytes) => [
      await framesOf([bytes, bytes]),
      await framesOf(
        (async function* () {
          yield bytes;
          yield bytes;
        })(),
      ),
    ]);
  });

  test("pixels of 3 and of 4 bytes", async () => {
    for (const channels of [3, 4]) {
      const pixels = new Uint8Array(5 * 7 * channels).map((_, i) => i * 7);
      const picture = (data: Bytes): PictureInput => ({ data: data as Uint8Array, width: 5, height: 7 });
      const expected = await pictureOf(picture(pixels));
      for (const { name, bytes, memory } of byteForms(pixels)) {
        if (!("BYTES_PER_ELEMENT" in bytes)) continue;
        const before = await memory();
        expect(await pictureOf(picture(bytes)), name).toBe(expected);
        expect(await memory(), name).toBe(before);
      }
    }
  });

  test("a source over bytes, and safetensors in it", async () => {
    await alike(await readFixture("goldens/hf5-f16/model.safetensors"), async (bytes) => {
      const file = await openSafetensors(bytesSource(bytes, "file"));
      const [entry] = file.entries.values();
      const tensor = await file.source.read(entry!.offsetBytes, entry!.lengthBytes);
      expect([tensor.byteOffset, tensor.buffer.byteLength]).toEqual([0, tensor.length]);
      return [...file.entries.keys(), await sha256(tensor)];
    });
  });

  test("a source of the program's own, whose reads are views of memory that it uses again", async () => {
    for (const path of CLIPS) {
      const file = await readFixture(path);
      const pool = typeof Buffer === "undefined" ? new Uint8Array(file.length + 3) : Buffer.alloc(file.length + 3);
      let closed = false;
      const source: ByteSource = {
        name: "clip",
        sizeBytes: file.length,
        async read(offset, length) {
          pool.set(file.subarray(offset, offset + length), 3);
          return pool.subarray(3, 3 + length);
        },
        async close() {
          closed = true;
        },
      };
      expect(await framesOf(source)).toEqual(await framesOf(file));
      expect(closed).toBe(false);
    }
  });

  test("what is sent to a worker", async () => {
    await alike(
      Uint8Array.from({ length: 999 }, (_, i) => i * 3),
      async (bytes) => {
        const parcel = new Transferables();
        const parts = [
          { type: "image", image: bytes },
          { type: "video", video: bytes },
          { type: "video", frames: [bytes] },
        ];
        const sent = structuredClone(await parcel.input(parts, () => 1), {
          transfer: parcel.transfer,
        }) as { part: Record<string, unknown> }[];
        return sent.flatMap(({ part }) => [part.image, part.video, part.frames].flat().filter(isBytes).map(asBytes));
      },
    );
  });
});

describe("bytes", () => {
  test("of another realm are bytes", async () => {
    let foreign: Uint8Array;
    if (typeof document === "undefined") {
      const vm = "node:vm"; // a variable keeps it out of the browser's bundle
      const { runInNewContext } = (await import(/* @vite-ignore */ vm)) as typeof import("node:vm");
      foreign = runInNewContext("new Uint8Array([1, 2, 3])");
    } else {
      const frame = document.body.appendChild(document.createElement("iframe"));
      foreign = new (frame.contentWindow as unknown as typeof globalThis).Uint8Array([1, 2, 3]);
    }
    expect(foreign).not.toBeInstanceOf(Uint8Array);
    expect([isBytes(foreign), isBytes(foreign.buffer)]).toEqual([true, true]);
    expect(copyOf(foreign, "x")).toEqual(Uint8Array.of(1, 2, 3));
    expect(copyOf(foreign.buffer, "x")).toEqual(Uint8Array.of(1, 2, 3));
  });

  test("other values are not", () => {
    for (const value of [
      undefined,
      null,
      "bytes",
      3,
      [1, 2],
      { length: 2 },
      new Blob(["a"]),
      { buffer: new ArrayBuffer(1) },
    ])
      expect(isBytes(value)).toBe(false);
  });

  test("views share memory, copies do not", () => {
    const file = Uint8Array.of(1, 2, 3);
    const [view, copy] = [viewOf(file, "x"), copyOf(file, "x")];
    file[0] = 9;
    expect([view[0], copy[0]]).toEqual([9, 1]);
  });

  test("that were transferred away are named", async () => {
    for (const hold of [
      (buffer: ArrayBuffer) => buffer,
      (b: ArrayBuffer) => new Uint8Array(b),
      (b: ArrayBuffer) => new DataView(b),
    ]) {
      const buffer = new ArrayBuffer(8);
      const gone = hold(buffer);
      structuredClone(buffer, { transfer: [buffer] });
      await expect(readPicture(gone, "image 2")).rejects.toThrow(
        /^image 2: expected bytes that are still there, got a buffer/,
      );
      await expect(framesOf(gone)).rejects.toBeInstanceOf(MediaError);
      await expect(new Transferables().picture(gone, "image 1")).rejects.toBeInstanceOf(MediaError);
    }
  });
});
