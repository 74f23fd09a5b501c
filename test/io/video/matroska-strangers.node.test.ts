import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { block, CLUSTER, element, endless, head, SEGMENT, text, tracks, uint } from "../../support/matroska.js";
import { concat } from "../../support/mp4.js";

// Files made to exhaust whoever reads them: each in a process of its own, whose memory is measured.

const ROOT = new URL("../../../", import.meta.url).pathname;
const FIXTURE = join(ROOT, "test/data/clips/recorded_vp8.webm");
const MEGABYTE = 2 ** 20;
/** What reading an index may take beside the file, on a slow machine that does other things too. */
const PATIENCE_MS = 30_000;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ocellus-webm-"));
});
afterAll(() => rm(folder, { recursive: true }));

const repeated = (count: number, bytes: readonly number[] | Uint8Array): Uint8Array => {
  const all = new Uint8Array(count * bytes.length);
  for (let i = 0; i < count; i++) all.set(bytes, i * bytes.length);
  return all;
};
const live = (...parts: readonly Uint8Array[]): Uint8Array => concat(head(), endless(SEGMENT, ...parts));
const KEYFRAME = block([0x10, 0, 0]);
/** A SimpleBlock of one byte in 7, and one of 56 in 62. */
const TINY = [0xa3, 0x85, 0x81, 0, 0, 0x80, 0x10];
const SMALL = [0xa3, 0xbc, 0x81, 0, 0, 0, 0x11, ...new Array<number>(55).fill(0)];

it.each<[string, () => Uint8Array]>([
  ["as many tiny blocks as may be", () => live(tracks({}), endless(CLUSTER, repeated(104_000, TINY)))],
  ["millions of tiny blocks", () => live(tracks({}), endless(CLUSTER, repeated(4_000_000, TINY)))],
  ["as many small blocks as may be", () => live(tracks({}), endless(CLUSTER, KEYFRAME, repeated(240_000, SMALL)))],
  ["millions of clusters", () => live(tracks({}), repeated(1_000_000, endless(CLUSTER, KEYFRAME)))],
  ["millions of empty elements", () => live(tracks({}), endless(CLUSTER, KEYFRAME, repeated(4_000_000, [0xec, 0x80])))],
  ["thousands of tracks", () => live(element(0x1654ae6b, repeated(60_000, element(0xae, uint(0x83, 1)))))],
  ["a million colours", () => live(tracks({ video: [repeated(1_000_000, [0x55, 0xb0, 0x80])] }))],
  ["a million encodings", () => live(tracks({ more: [element(0x6d80, repeated(1_000_000, [0x62, 0x40, 0x80]))] }))],
  ["a nest of colours", () => live(tracks({ video: [nested(0x55b0, 400)] }), endless(CLUSTER, KEYFRAME))],
  ["thousands of recordings", () => repeated(20_000, live(tracks({}), endless(CLUSTER, KEYFRAME)))],
  ["a codec name of megabytes", () => live(tracks({ codec: "V_".padEnd(3_000_000, "X") }), endless(CLUSTER, KEYFRAME))],
  [
    "a codec header of megabytes",
    () =>
      live(
        tracks({ codec: "V_MPEG4/ISO/AVC", more: [element(0x63a2, new Uint8Array(4_000_000).fill(1))] }),
        endless(CLUSTER, KEYFRAME),
      ),
  ],
  [
    "a document type of megabytes",
    () => concat(element(0x1a45dfa3, text(0x4282, "x".repeat(3_000_000))), endless(SEGMENT)),
  ],
])("%s", async (_, make) => {
  const path = join(folder, "clip.webm");
  const bytes = make();
  await writeFile(path, bytes);
  const options = { timeout: 100_000, killSignal: "SIGKILL" } as const;
  const script = join(ROOT, "test/support/index-clips.mjs");
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [script, FIXTURE, path], options);
  expect(stderr).toBe("");
  const result = JSON.parse(stdout) as {
    code?: string;
    frames?: number;
    message?: string;
    milliseconds: number;
    peakBytes: number;
  };
  expect(result.code ?? "MEDIA", result.message).toBe("MEDIA");
  expect(result.message ?? "").toMatch(/^$|: expected .+, got .+ — /);
  expect((result.message ?? "").length).toBeLessThan(1000);
  expect(result.peakBytes).toBeLessThanOrEqual(4 * bytes.length + 64 * MEGABYTE);
  expect(result.milliseconds).toBeLessThan(PATIENCE_MS);
});

function nested(id: number, depth: number): Uint8Array {
  let inner: Uint8Array = new Uint8Array();
  for (let i = 0; i < depth; i++) inner = element(id, inner);
  return inner;
}
