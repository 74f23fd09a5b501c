import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Network } from "../../src/models/llava-onevision/network.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import type { Device } from "../../src/runtime/device.js";
import { checkpointFiles } from "../support/checkpoint.js";
import { checkGivenBack, sharedDevice } from "../support/device.js";
import { goldenAnswerFaults, goldenIndex } from "../support/golden-case.js";

// Golden cases asked at once, each in a session of its own: the reference's tokens, whatever shares a step.

/** On lavapipe all cases; SwiftShader takes minutes for the large pictures. */
const isWhole = process.env.OCELLUS_ADAPTER === "system";
const SMALL = ["text", "text-long", "image-423x47", "two-turns"];
const SLOW_TEST_MS = 600_000;

const { steps, models } = await goldenIndex();

describe.each(Object.entries(models))("%s", (folder, cases) => {
  let device: Device;
  let model: LlavaOneVision;
  beforeAll(async () => {
    device = await sharedDevice();
    model = await LlavaOneVision.load(await checkpointFiles(`goldens/${folder}`), { device });
  });
  afterAll(async () => {
    model.dispose();
    await checkGivenBack(device);
  });

  /** Asks cases at once; returns what differs, and how many sequences each step had. */
  async function ask(names: readonly string[]): Promise<{ faults: string[]; sequences: number[] }> {
    const all = vi.spyOn(Network.prototype, "stepAll");
    try {
      const faults = await Promise.all(names.map((name) => goldenAnswerFaults(model, folder, name, steps)));
      return { faults: faults.flat(), sequences: all.mock.calls.map(([, { length }]) => length) };
    } finally {
      all.mockRestore();
    }
  }

  test(
    "all cases",
    async () => {
      const { faults } = await ask(isWhole ? cases : cases.filter((name) => SMALL.includes(name)));
      expect(faults).toEqual([]);
    },
    SLOW_TEST_MS,
  );

  test.each(isWhole ? Array.from({ length: 15 }, (_, i) => i + 2) : [2, 3, 5, 8, 16])(
    "%i questions",
    async (count) => {
      const texts = cases.filter((name) => name === "text" || name === "text-long");
      const { faults, sequences } = await ask(Array.from({ length: count }, (_, i) => texts[i % texts.length]!));
      expect(faults).toEqual([]);
      expect(Math.max(...sequences)).toBe(count);
    },
    SLOW_TEST_MS,
  );
});
