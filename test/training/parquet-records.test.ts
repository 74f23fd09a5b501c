import { parquetWriteBuffer } from "hyparquet-writer";
import { expect, test } from "vitest";
import { bytesSource } from "../../src/io/source.js";
import { findParquetRecords, readParquetRecords } from "../../src/training/parquet-records.js";
import { bmp, parquetFile } from "../support/parquet.js";

const HINGE = [
  { from: "human", value: "<image>\nWhich part is this?" },
  { from: "gpt", value: "A hinge." },
];
const PLAIN = [
  { from: "human", value: "Hello" },
  { from: "gpt", value: "Hi" },
];

test("rows of LLaVA-OneVision-Data are records, with pictures as bytes", async () => {
  const picture = bmp(3, 2);
  const file = parquetFile([
    { id: "a", image: { bytes: picture, path: "a.png" }, conversations: HINGE, data_source: "parts" },
    { id: "b", image: null, conversations: PLAIN, data_source: "talk" },
    { id: "c", image: { bytes: null, path: "c.png" }, conversations: HINGE, data_source: "parts" },
  ]);
  const records = await readParquetRecords(file, "parts.parquet", (path) => `in/${path}`);
  expect(records.map(({ where }) => where)).toEqual([1, 2, 3].map((row) => `parts.parquet, row ${row}`));
  const text = { type: "text", text: "Which part is this?" };
  const answer = { role: "assistant", content: [{ type: "text", text: "A hinge." }] };
  expect(await records[0]!.load!()).toEqual([
    { role: "user", content: [{ type: "image", image: picture }, text] },
    answer,
  ]);
  expect(records[1]!.load).toBeUndefined();
  expect(records[1]!.messages[0]!.content).toEqual([{ type: "text", text: "Hello" }]);
  // A picture beside the file is read from there.
  expect(records[2]!.messages[0]!.content).toEqual([{ type: "image", image: "in/c.png" }, text]);
});

test("row groups are read one at a time, and again for a picture", async () => {
  const rows = Array.from({ length: 6 }, (_, i) => ({
    id: `${i}`,
    image: { bytes: bmp(i + 1, 1, 40_000), path: null },
    conversations: HINGE,
    data_source: "parts",
  }));
  const bytes = new Uint8Array(await parquetFile(rows, 2).arrayBuffer());
  let most = 0;
  const counting = () => {
    const source = bytesSource(bytes, "parts.parquet");
    const read = source.read.bind(source);
    source.read = (offset, length) => {
      if (offset + length < bytes.length) most = Math.max(most, length);
      return read(offset, length);
    };
    return source;
  };
  const { records, faults } = await findParquetRecords(counting);
  expect([records.length, faults]).toEqual([6, []]);
  // Two rows of 40 kB, not six.
  expect(most).toBeGreaterThan(80_000);
  expect(most).toBeLessThan(120_000);
  const [{ content }] = (await records[5]!.load!()) as unknown as [{ content: { image: Uint8Array }[] }];
  expect(content[0]!.image).toEqual(rows[5]!.image.bytes);
  const { records: chosen } = await findParquetRecords(counting, undefined, (count) => [0, count - 1]);
  expect(chosen.map(({ where }) => where)).toEqual(["parts.parquet, row 1", "parts.parquet, row 6"]);
});

test("each bad row is named", async () => {
  const file = parquetFile([
    { id: "a", image: { bytes: new TextEncoder().encode("not a picture"), path: "a" }, conversations: HINGE },
    { id: "b", image: { bytes: bmp(2, 2), path: "b" }, conversations: HINGE.slice(0, 1) },
    { id: "c", image: null, conversations: HINGE },
    { id: "d", image: { bytes: bmp(2, 2), path: "d" }, conversations: HINGE },
  ]);
  const bytes = await file.arrayBuffer();
  const { records, faults } = await findParquetRecords(() => bytesSource(bytes, "parts.parquet"));
  expect(records.length).toBe(1);
  expect(faults.map(({ message }) => message)).toEqual([
    expect.stringMatching(/^parts\.parquet, row 1, picture 1: expected .*picture/),
    expect.stringMatching(/^parts\.parquet, row 2: expected an answer as the last message, got one of user/),
    expect.stringMatching(/^parts\.parquet, row 3, turn 1: expected a picture or clip for each placeholder/),
  ]);
  await expect(readParquetRecords(file, "parts.parquet")).rejects.toThrow(
    /training data: expected records with a question and an answer, got 3 bad ones of 4: parts\.parquet, row 1.*row 3/,
  );
});

test("files that are no Parquet, damaged, or without the columns", async () => {
  await expect(readParquetRecords(new Blob(["no Parquet at all"]), "a.parquet")).rejects.toThrow(
    /^a\.parquet: expected Parquet, got /,
  );
  const other = parquetWriteBuffer({ columnData: [{ name: "text", data: ["a"], type: "STRING" }] });
  await expect(readParquetRecords(new Blob([other]), "a.parquet")).rejects.toThrow(
    "a.parquet: expected a column conversations, messages or question, got the columns text",
  );
  const whole = new Uint8Array(await parquetFile([{ id: "a", image: null, conversations: PLAIN }]).arrayBuffer());
  const damaged = whole.slice();
  damaged.fill(255, 4, whole.length - 600);
  await expect(readParquetRecords(new Blob([damaged]), "a.parquet")).rejects.toThrow(/^a\.parquet.*expected/);
});
