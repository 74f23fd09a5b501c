import { describe, expect, it } from "vitest";
import { OcellusError } from "../../../src/base/errors.js";
import { readFrames } from "../../../src/io/video/video.js";
import { readFixture } from "../../support/fixture.js";
import { random } from "../../support/random.js";

// Files that are cut or changed give frames or a typed error, and the caller's bytes stay as they are.

const NAMES = ["recorded_vp9.webm", "vp8_bt709.webm", "obs.mkv", "two_tracks.mkv"];

/** The number of frames, or the refusal; fails for an error of any other kind. */
async function read(bytes: Uint8Array, what: string): Promise<number> {
  let count = 0;
  try {
    for await (const { picture } of readFrames(bytes, { label: "broken.webm", frames: 3 })) {
      expect(picture.data).toHaveLength(picture.width * picture.height * 3);
      count++;
    }
  } catch (error) {
    expect(error, `${what}: ${String(error)}`).toBeInstanceOf(OcellusError);
    expect((error as Error).message, what).toMatch(/^.+: expected .+, got .+ — .+/s);
  }
  return count;
}

describe.each(NAMES)("%s", (name) => {
  it("cut anywhere", async () => {
    const bytes = await readFixture(`clips/${name}`);
    const step = Math.ceil(bytes.length / 60);
    for (let length = 0; length < bytes.length; length += length < 600 ? 13 : step) {
      await read(bytes.subarray(0, length), `${length} bytes`);
    }
  });

  it("with changed bytes in its head, and anywhere", async () => {
    const bytes = await readFixture(`clips/${name}`);
    const next = random(5);
    for (let i = 0; i < 120; i++) {
      const changed = bytes.slice();
      const range = i % 2 === 0 ? 700 : bytes.length;
      const places = Array.from({ length: 1 + (i % 4) }, () => Math.floor(next() * range));
      for (const at of places) changed[at] = next() * 256;
      await read(changed, `bytes ${places.join(", ")} of try ${i}`);
    }
  });
});

it("leaves the caller's bytes as they are, wherever they lie", async () => {
  const bytes = await readFixture("clips/obs.mkv");
  const views: [string, Uint8Array][] = [
    ["at an odd place", new Uint8Array(new ArrayBuffer(bytes.length + 10), 3, bytes.length)],
  ];
  if (typeof SharedArrayBuffer === "function") {
    views.push(["shared", new Uint8Array(new SharedArrayBuffer(bytes.length))]);
  }
  const buffer = (globalThis as { Buffer?: { alloc(size: number): Uint8Array } }).Buffer;
  if (buffer) views.push(["a Buffer", buffer.alloc(bytes.length + 8).subarray(5, bytes.length + 5)]);
  for (const [what, view] of views) {
    view.set(bytes);
    const around = new Uint8Array(view.buffer).slice();
    expect(await read(view, what), what).toBe(3);
    expect(new Uint8Array(view.buffer).slice(), what).toEqual(around);
  }
});
