import { expect, test } from "vitest";
import { AbortedError, CheckpointError } from "../../../src/base/errors.js";
import { bytesSource } from "../../../src/io/bytes/source.js";
import { openSafetensors, type TensorData, writeSafetensors } from "../../../src/io/checkpoint/safetensors.js";
import { readFixture } from "../../support/fixture.js";

const FILE = "broken.safetensors";

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((total, chunk) => total + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** A file with the header text given, `dataBytes` bytes of data, and a header length that may lie. */
function fileOf(header: string | Uint8Array, dataBytes = 0, headerBytes?: bigint): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setBigUint64(0, headerBytes ?? BigInt(text.length), true);
  return concat([prefix, text, new Uint8Array(dataBytes)]);
}

function headerOf(tensors: Record<string, unknown>): string {
  return JSON.stringify(tensors);
}

const open = (bytes: Uint8Array) => openSafetensors(bytesSource(bytes, FILE));
const x = (offsets: unknown, extra: object = {}) => ({ dtype: "F32", shape: [2, 3], data_offsets: offsets, ...extra });

test("what is written is read back: types, shapes, metadata, bytes", async () => {
  const tensors: TensorData[] = [
    { name: "bytes", dtype: "U8", shape: [3], bytes: Uint8Array.of(1, 2, 3) },
    { name: "scalar", dtype: "F32", shape: [], bytes: Uint8Array.of(4, 5, 6, 7) },
    { name: "empty", dtype: "BF16", shape: [0, 7], bytes: new Uint8Array() },
    { name: "__proto__", dtype: "F16", shape: [1, 2], bytes: Uint8Array.of(8, 9, 10, 11) },
    { name: 'ünïcode "quoted"', dtype: "I64", shape: [1], bytes: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 128) },
  ];
  const bytes = concat(writeSafetensors(tensors, { format: "pt", note: "a\nb" }));
  const source = bytesSource(bytes, "round.safetensors");
  const file = await openSafetensors(source);
  expect([...file.metadata]).toEqual([
    ["format", "pt"],
    ["note", "a\nb"],
  ]);
  expect(file.entries.size).toBe(tensors.length);
  for (const { name, dtype, shape, bytes: wanted } of tensors) {
    const entry = file.entries.get(name)!;
    expect(entry).toMatchObject({ name, dtype, shape, lengthBytes: wanted.length });
    expect(await source.read(entry.offsetBytes, entry.lengthBytes)).toEqual(wanted);
  }
  // Every tensor is aligned to its element, and the data to 8 bytes.
  expect(file.entries.get('ünïcode "quoted"')!.offsetBytes % 8).toBe(0);
  expect(file.entries.get("scalar")!.offsetBytes % 4).toBe(0);
  expect(file.entries.get("__proto__")!.offsetBytes % 2).toBe(0);
});

test("a file without tensors is a file", async () => {
  const file = await open(concat(writeSafetensors([])));
  expect(file.entries.size).toBe(0);
  expect(file.metadata.size).toBe(0);
});

test("a file written by the reference library is read", async () => {
  const bytes = await readFixture("goldens/hf-05b-like/model.safetensors");
  const { entries, metadata } = await open(bytes);
  expect(metadata.get("format")).toBe("pt");
  // 26 of the language model (2 layers), 37 of the vision tower (2 layers), 4 of the projector, the newline.
  expect(entries.size).toBe(68);
  expect(entries.get("image_newline")).toMatchObject({ dtype: "BF16", shape: [256], lengthBytes: 512 });
  const last = [...entries.values()].reduce((end, entry) => Math.max(end, entry.offsetBytes + entry.lengthBytes), 0);
  expect(last).toBe(bytes.length);
});

test("the writer refuses names and sizes that do not fit", () => {
  const one: TensorData = { name: "a", dtype: "F32", shape: [2], bytes: new Uint8Array(8) };
  expect(() => writeSafetensors([one, one])).toThrow(/tensor a: expected every name once/);
  expect(() => writeSafetensors([{ ...one, name: "__metadata__" }])).toThrow(CheckpointError);
  expect(() => writeSafetensors([{ ...one, shape: [3] }])).toThrow("expected 12 bytes for F32 [3], got 8 bytes");
});

const proper = headerOf({ x: x([0, 24]) });

test.each<[string, Uint8Array, string]>([
  ["an empty file", new Uint8Array(), "at least 8 bytes, got 0 bytes"],
  ["a file of 7 bytes", new Uint8Array(7), "got 7 bytes"],
  ["a header longer than the file", fileOf(proper, 24, 1000n), "within the"],
  ["a header of 2^63 bytes", fileOf(proper, 24, 1n << 63n), "9223372036854775808 bytes"],
  ["a header of no bytes", fileOf("", 0), 'starts with "{", got nothing'],
  ["a header that is not an object", fileOf("[1]", 0), "first byte 0x5b"],
  ["a header after a byte order mark", fileOf(`\ufeff${proper}`, 24), "first byte 0xef"],
  ["a header that is not UTF-8", fileOf(Uint8Array.of(0x7b, 0xff, 0x7d)), "expected UTF-8"],
  ["a header that is not JSON", fileOf('{"x": }'), "header: line 1, column 7: expected a value"],
  ["metadata that is a list", fileOf(headerOf({ __metadata__: [1] })), "__metadata__: expected an object of texts"],
  ["metadata that is not text", fileOf(headerOf({ __metadata__: { a: 1 } })), "__metadata__.a: expected a text, got 1"],
  [
    "a tensor named twice",
    fileOf('{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\\u0078":{}}', 1),
    '"x" a second',
  ],
  [
    "a field named twice",
    fileOf('{"x":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}}', 1),
    "a second time",
  ],
  ["a tensor that is no object", fileOf(headerOf({ x: 3 })), "tensor x: expected an object, got 3"],
  ["an unknown dtype", fileOf(headerOf({ x: x([0, 24], { dtype: "F31" }) }), 24), "tensor x: dtype: expected BOOL"],
  ["a dtype that is an object's own name", fileOf(headerOf({ x: x([0, 24], { dtype: "toString" }) }), 24), "dtype"],
  ["no dtype", fileOf(headerOf({ x: { shape: [1], data_offsets: [0, 4] } }), 4), "dtype"],
  ["a negative size", fileOf(headerOf({ x: x([0, 24], { shape: [-2, -3] }) }), 24), "got [-2,-3]"],
  ["a fractional size", fileOf(headerOf({ x: x([0, 24], { shape: [1.5, 4] }) }), 24), "got [1.5,4]"],
  ["a shape that is a number", fileOf(headerOf({ x: x([0, 24], { shape: 6 }) }), 24), "x: shape: expected"],
  ["one offset", fileOf(headerOf({ x: x([24]) }), 24), "expected two whole numbers"],
  ["negative offsets", fileOf(headerOf({ x: x([-24, 0]) }), 24), "got [-24,0]"],
  ["offsets the wrong way round", fileOf(headerOf({ x: x([24, 0]) }), 24), "an end (0) before the beginning (24)"],
  ["too few bytes for the shape", fileOf(headerOf({ x: x([0, 20]) }), 20), "expected 24 bytes for F32 [2,3], got 20"],
  [
    "a shape over 2^53 elements",
    fileOf(headerOf({ x: x([0, 24], { shape: [2 ** 40, 2 ** 40] }) }), 24),
    "a tensor of less than 2^53 bytes, got [1099511627776,",
  ],
  ["a truncated file", fileOf(proper, 23), "(truncated)"],
  ["a file that is too long", fileOf(proper, 25), "1 bytes belong to no tensor"],
  ["data and no tensors", fileOf("{}", 4), "4 bytes belong to no tensor"],
  ["a hole at the start", fileOf(headerOf({ x: x([4, 28]) }), 28), "a hole of 4 bytes"],
  ["a hole between", fileOf(headerOf({ x: x([0, 24]), y: x([28, 52]) }), 52), "tensor y: expected its bytes"],
  ["an overlap", fileOf(headerOf({ y: x([20, 44]), x: x([0, 24]) }), 44), "tensor y: expected its bytes"],
  ["the same bytes twice", fileOf(headerOf({ x: x([0, 24]), y: x([0, 24]) }), 24), "an overlap of 24 bytes"],
])("%s is refused", async (_, bytes, words) => {
  const fault = await open(bytes).catch((error: unknown) => error);
  expect(fault).toBeInstanceOf(CheckpointError);
  expect((fault as Error).message).toContain(words);
  expect((fault as Error).message).toContain(FILE);
});

test("a header over 100 MB is refused before it is read", async () => {
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setBigUint64(0, 100_000_001n, true);
  const source = {
    name: FILE,
    sizeBytes: 2 ** 33,
    read: async (_: number, length: number) => {
      if (length > 8) throw new Error("read the header");
      return prefix;
    },
    close: async () => {},
  };
  await expect(openSafetensors(source)).rejects.toThrow("a length within 100 MB, got 100000001 bytes");
});

test("spaces after the header and unknown fields are allowed", async () => {
  const file = await open(fileOf(`${headerOf({ x: x([0, 24], { note: 1 }) })}     `, 24));
  expect(file.entries.get("x")?.lengthBytes).toBe(24);
});

test("an abort stops the opening", async () => {
  const source = bytesSource(fileOf(proper, 24), FILE);
  await expect(openSafetensors(source, AbortSignal.abort())).rejects.toThrow(AbortedError);
});

test("keys of a header and sizes of a shape have bounds", async () => {
  const keys = Array.from({ length: 400_001 }, (_, i) => `"${i}":""`).join();
  await expect(open(fileOf(`{"__metadata__":{${keys}}}`))).rejects.toThrow("expected at most 400000 keys");
  const shape = Array(33).fill(1);
  await expect(open(fileOf(headerOf({ x: { dtype: "U8", shape, data_offsets: [0, 1] } }), 1))).rejects.toThrow(
    `${FILE}: tensor x: shape: expected at most 32 whole numbers from 0, got [1,1,`,
  );
});
