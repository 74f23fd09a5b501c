import { relativeError } from "../../src/bench/compare.js";
import { bytesSource } from "../../src/io/bytes/source.js";
import { openSafetensors } from "../../src/io/checkpoint/safetensors.js";
import type { Tap } from "../../src/models/chat/taps.js";
import type { ChatMessage, ImageContent, TextContent } from "../../src/models/llava-onevision/processor.js";
import type { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { readFixture, readFixtureJson } from "./fixture.js";
import { sha256 } from "./pixels.js";
import { TOLERANCE } from "./tolerance.js";

// A whole answer against the reference implementation's, without a test runner: it runs in Deno and in Firefox too.
// See test/data/goldens/README.md for what the files hold.

export interface GoldenIndex {
  steps: number;
  models: Record<string, string[]>;
}

interface GoldenCase {
  prompt_style: "hf" | "orig";
  messages: { role: ChatMessage["role"]; content: string | GoldenPart[] }[];
  input_ids: number[];
  tiles_sha256: string[];
  greedy: { ids: number[]; text: string };
  stats: Record<string, { shape: [number, number]; absmax: number }>;
}

type GoldenPart = TextContent | { type: "image"; image: string } | { type: "video"; frames: string[] };

/** Some rows of a tap as the reference computed them. */
interface GoldenTap {
  name: string;
  values: Float32Array;
  /** Row numbers of `values`; undefined for all. */
  rows: Int32Array | undefined;
}

export function goldenIndex(): Promise<GoldenIndex> {
  return readFixtureJson<GoldenIndex>("goldens/index.json");
}

async function goldenQuestion(folder: string, name: string) {
  const golden = await readFixtureJson<GoldenCase>(`goldens/${folder}/cases/${name}.json`);
  const messages = await withPictures(golden.messages);
  const template = golden.prompt_style === "orig" ? ("onevision" as const) : ("checkpoint" as const);
  return { golden, messages, template };
}

/**
 * Asks the question of a golden case and compares prompt ids, pixels, every named intermediate, the answer's tokens and its text.
 * Returns one line for everything that differs.
 */
export async function goldenFaults(
  model: LlavaOneVision,
  folder: string,
  name: string,
  steps: number,
): Promise<string[]> {
  const { golden, messages, template } = await goldenQuestion(folder, name);

  const prompt = await model.internals.processor.prepare(messages, { template });
  const segments = prompt.media.flatMap((medium) => medium.segments);
  const hashes = await tileHashes(model, segments);

  const session = model.createSession();
  let taps: Tap[] = [];
  const answer = session.generate(messages, {
    template,
    maxNewTokens: steps,
    onTaps: (recorded) => {
      taps = recorded;
    },
  });
  const result = await answer.result;
  session.dispose();

  const truth = await goldenTaps(`goldens/${folder}/cases/${name}.safetensors`);
  return [
    ...difference("hashes of tiles", hashes, golden.tiles_sha256),
    ...difference("prompt ids", result.promptTokens, golden.input_ids),
    ...tapFaults(taps, truth, golden),
    ...difference("tokens", result.tokens, golden.greedy.ids),
    ...difference("text", result.text, golden.greedy.text),
  ];
}

/** The same, comparing prompt ids, tokens and text only: nothing is read between the steps, so that cases can be asked at once. */
export async function goldenAnswerFaults(
  model: LlavaOneVision,
  folder: string,
  name: string,
  steps: number,
): Promise<string[]> {
  const { golden, messages, template } = await goldenQuestion(folder, name);
  const session = model.createSession();
  try {
    const result = await session.generate(messages, { template, maxNewTokens: steps }).result;
    return [
      ...difference(`prompt ids of ${name}`, result.promptTokens, golden.input_ids),
      ...difference(`tokens of ${name}`, result.tokens, golden.greedy.ids),
      ...difference(`text of ${name}`, result.text, golden.greedy.text),
    ];
  } finally {
    session.dispose();
  }
}

function difference(what: string, got: unknown, truth: unknown): string[] {
  const [mine, theirs] = [JSON.stringify(got), JSON.stringify(truth)];
  return mine === theirs ? [] : [`${what}: ${mine}, wanted ${theirs}`];
}

/** Reads the pictures that the messages name. */
export function withPictures(messages: GoldenCase["messages"]): Promise<ChatMessage[]> {
  const read = (path: string) => readFixture(`goldens/${path}`);
  const part = async (
    part: GoldenPart,
  ): Promise<TextContent | ImageContent | { type: "video"; frames: Uint8Array[] }> => {
    if (part.type === "image") return { type: "image", image: await read(part.image) };
    if (part.type === "video") return { type: "video", frames: await Promise.all(part.frames.map(read)) };
    return part;
  };
  return Promise.all(
    messages.map(async ({ role, content }) => ({
      role,
      content: typeof content === "string" ? content : await Promise.all(content.map(part)),
    })),
  );
}

function tileHashes(
  model: LlavaOneVision,
  media: readonly { tiles: Uint8Array; tileCount: number }[],
): Promise<string[]> {
  const tileBytes = model.config.vision.tileSide ** 2 * 3;
  const tiles = media.flatMap(({ tiles, tileCount }) => {
    if (tiles.length !== tileCount * tileBytes) throw new Error(`${tileCount} tiles have ${tiles.length} bytes`);
    return Array.from({ length: tileCount }, (_, i) => tiles.subarray(i * tileBytes, (i + 1) * tileBytes));
  });
  return Promise.all(tiles.map(sha256));
}

async function goldenTaps(path: string): Promise<GoldenTap[]> {
  const { source, entries } = await openSafetensors(bytesSource(await readFixture(path), path));
  const buffer = async (name: string): Promise<ArrayBuffer | undefined> => {
    const entry = entries.get(name);
    if (!entry) return undefined;
    const bytes = await source.read(entry.offsetBytes, entry.lengthBytes);
    return new Uint8Array(bytes).buffer;
  };
  const taps: GoldenTap[] = [];
  for (const name of entries.keys()) {
    if (name.endsWith(".rows") || name === "steps.logits") continue;
    const rows = await buffer(`${name}.rows`);
    taps.push({ name, values: new Float32Array((await buffer(name))!), rows: rows && new Int32Array(rows) });
  }
  return taps;
}

/** One line for every tap that is missing, misshapen or off, in the order of the forward pass. */
function tapFaults(taps: readonly Tap[], truth: readonly GoldenTap[], golden: GoldenCase): string[] {
  const faults: string[] = [];
  const byName = new Map(truth.map((tap) => [tap.name, tap]));
  for (const name of byName.keys()) if (!taps.some((tap) => tap.name === name)) faults.push(`${name} is missing`);
  for (const { name, shape, data } of taps) {
    const expected = byName.get(name);
    const stats = golden.stats[name];
    if (!expected || !stats) {
      faults.push(`${name} is not a name of the reference`);
      continue;
    }
    if (String(shape) !== String(stats.shape)) {
      faults.push(`${name} has shape [${shape}], wanted [${stats.shape}]`);
      continue;
    }
    const width = shape[1];
    const rows = expected.rows ?? Array.from({ length: shape[0] }, (_, row) => row);
    const got = new Float32Array(rows.length * width);
    rows.forEach((row, i) => {
      got.set(data.subarray(row * width, (row + 1) * width), i * width);
    });
    const error = relativeError(got, expected.values, stats.absmax);
    const allowed = TOLERANCE[name === "tiles" ? "exact" : "tap"];
    if (!(error <= allowed)) faults.push(`${name} is off by ${error.toExponential(1)}`);
  }
  return faults;
}

/** The large pictures take minutes on SwiftShader. */
const isWhole = typeof process !== "undefined" && process.env.OCELLUS_WHOLE_GOLDENS === "1";
const SMALL: readonly string[] = ["text", "image-423x47", "image-50x37"];

/** The golden cases with small pictures; all with OCELLUS_WHOLE_GOLDENS=1. */
export function smallCases(cases: readonly string[]): readonly string[] {
  return isWhole ? cases : cases.filter((name) => SMALL.includes(name));
}
