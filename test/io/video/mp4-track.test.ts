import { expect, it } from "vitest";
import { bytesSource } from "../../../src/io/bytes/source.js";
import { readClipIndex } from "../../../src/io/video/mp4.js";
import { ascii, box, concat, fullBox, type MuxedTrack, moov, u32, visualEntry } from "../../support/mp4.js";

const FTYP = box("ftyp", ascii("isom"), u32(0), ascii("isom"));
const AVCC = box("avcC", [1, 0x64, 0, 0x0b, 0xff, 0xe0, 0]);
const HVCC = [1, 1, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 93, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 15, 0];

const fileWith = (entry: Uint8Array, more: Partial<MuxedTrack> = {}): Uint8Array =>
  concat(
    FTYP,
    moov([{ entry, timescale: 100, samples: [{ offsetBytes: 0, sizeBytes: 10, durationTicks: 10 }], ...more }]),
  );
const read = (bytes: Uint8Array) => readClipIndex(bytesSource(bytes, "clip"), "clip");
const entry = (type: string, ...boxes: Uint8Array[]) => visualEntry(type, 16, 16, ...boxes);

it.each([
  ["avc1", AVCC, "avc1.64000b"],
  ["hvc1", box("hvcC", HVCC), "hvc1.1.6.L93"],
  ["vp09", fullBox("vpcC", 1, 0, [0, 10, 0x82, 1, 1, 1, 0, 0]), "vp09.00.10.08"],
  ["av01", box("av1C", [0x81, 0, 0x0c, 0]), "av01.0.00M.08"],
] as const)("%s: the codec string comes from the configuration", async (type, record, codec) => {
  expect((await read(fileWith(entry(type, record)))).codec).toBe(codec);
  // Of other boxes it takes nothing, whatever they are called and wherever they stand.
  const around = [box("stsz", [0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255]), box("\x1b]0;"), box("sgpd", [1, 2])];
  expect((await read(fileWith(entry(type, ...around, record, ...around)))).codec).toBe(codec);
  await expect(read(fileWith(entry(type)))).rejects.toThrow(
    /expected the codec's configuration, a box "\w{4}", got none/,
  );
});

it("names an unknown entry, escaped, and does not read it", async () => {
  expect((await read(fileWith(entry("apch", box("esds", [3, 255, 255, 255, 127]))))).codec).toBe("apch");
  expect((await read(fileWith(entry("\x1b[2J")))).codec).toBe("\\x1b[2J");
});

it("refuses configurations that are broken or larger than any codec has", async () => {
  const refusal = (type: string, record: Uint8Array) => expect(read(fileWith(entry(type, record)))).rejects;
  await refusal("hvc1", box("hvcC", HVCC, new Uint8Array(2 ** 16))).toThrow(
    /"hvcC" at byte \d+: expected at most 65536/,
  );
  await refusal("avc1", box("avcC", [1, 0x64, 0, 0x0b, 0xff, 0xff])).toThrow(/missing, cut or broken/);
  await refusal("av01", box("av1C", [0, 0, 0, 0])).toThrow(/av1C marker problem/);
});

it("refuses header boxes that are cut or of unknown versions, and descriptions that are not there", async () => {
  const good = fileWith(entry("avc1", AVCC), { edits: [[100, 0]] });
  const changed = (type: string, offset: number, ...values: number[]) => {
    const bytes = good.slice();
    const letters = ascii(type);
    const at = bytes.findIndex((_, i) => letters.every((letter, j) => bytes[i + j] === letter));
    bytes.set(values, at + 4 + offset);
    return expect(read(bytes)).rejects;
  };
  for (const type of ["mvhd", "tkhd", "mdhd", "elst"]) await changed(type, 0, 2).toThrow(`"${type}"`);
  for (const type of ["mvhd", "tkhd", "mdhd"]) await changed(type, 0, 1).toThrow(/a body of at least \d+ bytes/);
  await changed("elst", 4, 255, 255, 255, 255).toThrow("expected 4294967295 rows of 12 bytes, got room for 1");
  await changed("stsd", 4, 255, 255, 255, 255).toThrow("expected 4294967295 rows of 8 bytes");
  await changed("stsc", 16, 0, 0, 0, 7).toThrow(/"stsd".*expected description 7 of the video's codec, got 1 of them/);
  await changed("mvhd", 12, 0, 0, 0, 0).toThrow("none of them shown");
});
