import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OcellusError } from "../../src/base/errors.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { Device } from "../../src/runtime/device.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { readFixture } from "../support/fixture.js";
import { GPUFaults, type GPUOperation } from "../support/gpu-faults.js";

// Allocations, maps and submissions of a conversation fail, each once: the call that is hit answers as always or with a typed error, the same
// conversation afterwards is that of an undisturbed model, and all memory comes back.

/** Two conversations a point take minutes: every third point, and all with OCELLUS_ALL_FAULTS=1. */
const EVERY = process.env.OCELLUS_ALL_FAULTS === "1" ? 1 : 3;
/** Every point is a conversation: minutes where other tests keep the cores busy. */
const PATIENCE_MS = 900_000;

let device: Device;
let faults: GPUFaults;
let model: LlavaOneVision;
let picture: Uint8Array;
let base: number;
let wanted: readonly string[];
beforeAll(async () => {
  device = await Device.open();
  faults = new GPUFaults(device);
  model = await LlavaOneVision.load(await checkpointFiles(TINY), { device });
  picture = await readFixture(`${TINY}/examples/00-shapes.png`);
  await device.sync();
  base = device.pool.liveBytes;
  wanted = await conversation();
});
afterAll(() => {
  model?.dispose();
  expect(device.pool.liveBytes).toBe(0);
  device.dispose();
});

/** Two questions, the second of which follows, in a new session. Without free buffers (`anew`) it allocates all that it needs. */
async function conversation(anew = false): Promise<string[]> {
  if (anew) device.pool.trim();
  const session = model.createSession();
  try {
    const first = await session.generate(
      [
        {
          role: "user",
          content: [
            { type: "image", image: picture },
            { type: "text", text: "Which shapes are there?" },
          ],
        },
      ],
      { maxNewTokens: 3, imageMode: "pad" },
    ).result;
    const second = await session.generate("And?", { maxNewTokens: 2, temperature: 0.5, seed: 7 }).result;
    return [first.text, second.text];
  } finally {
    session.dispose();
  }
}

async function points(operation: GPUOperation): Promise<number> {
  faults.failAt(operation, undefined);
  expect(await conversation(true)).toEqual(wanted);
  return faults.counts[operation];
}

describe.each<GPUOperation>(["allocate", "map", "submit"])("every %s that fails", (operation) => {
  it(
    "leaves nothing, and the next conversation is as always",
    async () => {
      const count = await points(operation);
      expect(count).toBeGreaterThan(1);
      const outcomes = new Map<string, number>();
      for (let at = 0; at < count; at += EVERY) {
        faults.failAt(operation, at);
        const outcome = await conversation(true).then(
          (texts) => {
            expect(texts, `${operation} ${at}`).toEqual(wanted);
            return "answered";
          },
          (error: unknown) => {
            expect(error, `${operation} ${at}`).toBeInstanceOf(OcellusError);
            return (error as OcellusError).code;
          },
        );
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        expect(faults.injected).toBe(true);
        faults.failAt(operation, undefined);
        expect(await conversation(), `after ${operation} ${at}`).toEqual(wanted);
        await device.sync();
        expect(device.pool.liveBytes, `${operation} ${at}`).toBe(base);
      }
      const said = Array.from(outcomes, ([outcome, times]) => `${times} ${outcome}`).join(", ");
      console.log(`${operation}: of ${count} points ${said}`);
    },
    PATIENCE_MS,
  );
});
