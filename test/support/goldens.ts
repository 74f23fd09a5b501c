import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bytesSource } from "../../src/io/bytes/source.js";
import { openSafetensors } from "../../src/io/checkpoint/safetensors.js";
import type { Tap } from "../../src/models/chat/taps.js";
import type { ChatMessage, ImageContent, TextContent } from "../../src/models/llava-onevision/processor.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import type { Device } from "../../src/runtime/device.js";
import { checkpointFiles } from "./checkpoint.js";
import { relativeError, TOLERANCE } from "./compare.js";
import { checkGivenBack, sharedDevice } from "./device.js";
import { readFixture, readFixtureJson } from "./fixture.js";
import { sha256 } from "./pixels.js";

// Whole answers against the reference implementation: prompt ids, pixels, every named intermediate, the answer's tokens.
// See test/data/goldens/README.md for what the files hold.

interface GoldenIndex {
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

/** Thirty thousand patches and seven thousand tokens keep a software adapter busy. */
const SLOW_TEST_MS = 600_000;

/** Tests every case that `wanted` takes, with an adapter's features or without. */
export async function testGoldens(
  features: "all" | "none",
  wanted: (name: string, folder: string) => boolean = () => true,
): Promise<void> {
  const { steps, models } = await readFixtureJson<GoldenIndex>("goldens/index.json");
  const chosen = Object.entries(models)
    .map(([folder, cases]) => [folder, cases.filter((name) => wanted(name, folder))] as const)
    .filter(([, cases]) => cases.length > 0);
  describe.each(chosen)("%s", (folder, cases) => {
    let device: Device;
    let model: LlavaOneVision;
    beforeAll(async () => {
      device = await sharedDevice({ features });
      model = await LlavaOneVision.load(await checkpointFiles(`goldens/${folder}`), { device });
    });
    afterAll(async () => {
      model.dispose();
      expect(device.pool.reservedBytes).toBe(0);
      await checkGivenBack(device);
    });

    test.each(cases)(
      "%s",
      async (name) => {
        const golden = await readFixtureJson<GoldenCase>(`goldens/${folder}/cases/${name}.json`);
        const messages = await withPictures(golden.messages);
        const template = golden.prompt_style === "orig" ? "onevision" : "checkpoint";

        const prompt = await model.internals.processor.prepare(messages, { template });
        const segments = prompt.media.flatMap((medium) => medium.segments);
        expect(await tileHashes(model, segments)).toEqual(golden.tiles_sha256);

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

        expect(result.promptTokens).toEqual(golden.input_ids);
        expect(tapFaults(taps, await goldenTaps(`goldens/${folder}/cases/${name}.safetensors`), golden)).toEqual([]);
        expect(result.tokens).toEqual(golden.greedy.ids);
        expect(result.text).toBe(golden.greedy.text);
      },
      SLOW_TEST_MS,
    );
  });
}

/** Reads the pictures that the messages name. */
function withPictures(messages: GoldenCase["messages"]): Promise<ChatMessage[]> {
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
    expect(tiles.length).toBe(tileCount * tileBytes);
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
