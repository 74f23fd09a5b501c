import { describe, expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { decodePng } from "../../../src/io/pictures/png.js";

function crc(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (const byte of bytes) {
    c ^= byte;
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  }
  return (c ^ 0xffffffff) >>> 0;
}

function chunk(type: string, data: ArrayLike<number>): Uint8Array {
  const out = new Uint8Array(12 + data.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) out[4 + i] = type.charCodeAt(i);
  out.set(data, 8);
  view.setUint32(8 + data.length, crc(out.subarray(4, 8 + data.length)));
  return out;
}

/** IHDR of a 2×2 picture, with the given depth and colour type. */
function header(depth: number, colorType: number, interlace = 0): Uint8Array {
  return chunk("IHDR", [0, 0, 0, 2, 0, 0, 0, 2, depth, colorType, 0, 0, interlace]);
}

async function deflate(rows: number[]): Promise<Uint8Array> {
  const stream = new Blob([Uint8Array.from(rows)]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function png(...chunks: Uint8Array[]): Uint8Array {
  return Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, ...chunks.flatMap((c) => [...c])]);
}

const end = chunk("IEND", []);
const refused = (bytes: Uint8Array) => expect(decodePng(bytes, "p.png")).rejects;

describe("decodePng", () => {
  it("joins IDAT chunks, empty ones too, and skips chunks it does not know", async () => {
    const data = await deflate([0, 10, 20, 0, 30, 40]);
    const bytes = png(
      header(8, 0),
      chunk("IDAT", data.subarray(0, 3)),
      chunk("IDAT", []),
      chunk("IDAT", data.subarray(3)),
      chunk("quIz", [1, 2, 3]),
      end,
    );
    const { data: rgb } = await decodePng(bytes, "p.png");
    expect([...rgb]).toEqual([10, 20, 30, 40].flatMap((v) => [v, v, v]));
  });

  it("ignores picture data past the last row", async () => {
    const bytes = png(header(8, 0), chunk("IDAT", await deflate([0, 1, 2, 0, 3, 4, 0, 5, 6])), end);
    expect([...(await decodePng(bytes, "p.png")).data]).toEqual([1, 2, 3, 4].flatMap((v) => [v, v, v]));
  });

  it("gives black for an index past the end of the palette", async () => {
    const bytes = png(header(8, 3), chunk("PLTE", [9, 8, 7]), chunk("IDAT", await deflate([0, 0, 1, 0, 2, 0])), end);
    expect([...(await decodePng(bytes, "p.png")).data]).toEqual([9, 8, 7, 0, 0, 0, 0, 0, 0, 9, 8, 7]);
  });

  it("clamps 16-bit gray at 255 and takes the high byte of gray with alpha", async () => {
    const gray = png(header(16, 0), chunk("IDAT", await deflate([0, 0, 7, 0, 255, 0, 1, 0, 200, 0])), end);
    expect([...(await decodePng(gray, "p.png")).data]).toEqual([7, 255, 255, 255].flatMap((v) => [v, v, v]));
    const rows = [0, 5, 200, 0, 0, 6, 1, 0, 0, 0, 7, 1, 0, 0, 8, 1, 255, 255];
    const alpha = png(header(16, 4), chunk("IDAT", await deflate(rows)), end);
    expect([...(await decodePng(alpha, "p.png")).data]).toEqual([5, 6, 7, 8].flatMap((v) => [v, v, v]));
  });

  it("refuses what is broken, and says where", async () => {
    const data = chunk("IDAT", await deflate([0, 1, 2, 0, 3, 4]));
    const short = chunk("IDAT", await deflate([0, 1, 2, 0, 3]));
    const filter = chunk("IDAT", await deflate([0, 1, 2, 5, 3, 4]));
    await refused(png(header(8, 0), short, end)).toThrow(/p\.png.*6 bytes.*5/);
    await refused(png(header(8, 0), filter, end)).toThrow(/5 in row 1/);
    await refused(png(header(8, 0), chunk("IDAT", [1, 2, 3, 4]), end)).toBeInstanceOf(MediaError);
    await refused(png(header(8, 0), end)).toBeInstanceOf(MediaError);
    await refused(png(header(4, 2), data, end)).toThrow(/2, 4, 0/);
    await refused(png(data, header(8, 0), end)).toThrow(/IHDR as the first chunk/);
    const wrong = png(header(8, 0), data, end);
    wrong[8 + 8]! ^= 1;
    await refused(wrong).toThrow(/IHDR chunk at byte 8 with its checksum/);
  });

  it("reads on past what the reference does not look at", async () => {
    const rows = [0, 1, 2, 0, 3, 4];
    const stream = await deflate(rows);
    const data = chunk("IDAT", stream);
    const read = async (...chunks: Uint8Array[]) => [
      ...(await decodePng(png(...chunks), "p.png")).data.filter((_, i) => i % 3 === 0),
    ];
    const wrongSum = data.slice();
    wrongSum[wrongSum.length - 1]! ^= 1;
    expect(await read(header(8, 0), wrongSum, end)).toEqual([1, 2, 3, 4]);
    expect(await read(header(8, 0), data)).toEqual([1, 2, 3, 4]);
    expect(await read(header(8, 0), chunk("IDAT", stream.slice(0, -4)), end)).toEqual([1, 2, 3, 4]);
    // A stream that ends between two rows leaves the others black; a palette that is missing is black.
    expect(await read(header(8, 0), chunk("IDAT", await deflate(rows.slice(0, 3))), end)).toEqual([1, 2, 0, 0]);
    expect(await read(header(8, 3), data, end)).toEqual([0, 0, 0, 0]);
    await refused(png(header(8, 0), chunk("IDAT", [...stream.slice(0, -1), 99]), end)).toThrow(/broken stream/);
  });
});

it("ends with the signal between rows", async () => {
  const side = 1500;
  const size = [side >> 8, side & 255];
  const stream = new Blob([new Uint8Array(side * (3 * side + 1))])
    .stream()
    .pipeThrough(new CompressionStream("deflate"));
  const data = new Uint8Array(await new Response(stream).arrayBuffer());
  const ihdr = chunk("IHDR", [0, 0, ...size, 0, 0, ...size, 8, 2, 0, 0, 0]);
  const parts = [
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    ihdr,
    chunk("IDAT", data),
    chunk("IEND", []),
  ];
  const bytes = new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
  const controller = new AbortController();
  const decoding = decodePng(bytes, "large", undefined, controller.signal);
  controller.abort();
  await expect(decoding).rejects.toMatchObject({ name: "AbortError" });
  expect((await decodePng(bytes, "large")).data).toHaveLength(3 * side * side);
});
