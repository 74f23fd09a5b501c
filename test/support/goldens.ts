import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import type { AdapterFacts } from "../../src/runtime/adapter.js";
import type { Device } from "../../src/runtime/device.js";
import { forge } from "./adapters.js";
import { checkpointFiles } from "./checkpoint.js";
import { checkGivenBack, sharedDevice } from "./device.js";
import { goldenFaults, goldenIndex } from "./golden-case.js";

/** Thirty thousand patches and seven thousand tokens keep a software adapter busy. */
const SLOW_TEST_MS = 600_000;

/** Tests every case that `wanted` takes, with an adapter's features or without, or as an adapter of other facts computes it. */
export async function testGoldens(
  features: "all" | "none",
  wanted: (name: string, folder: string) => boolean = () => true,
  facts: Partial<AdapterFacts> = {},
  timeoutMs = SLOW_TEST_MS,
): Promise<void> {
  const { steps, models } = await goldenIndex();
  const chosen = Object.entries(models)
    .map(([folder, cases]) => [folder, cases.filter((name) => wanted(name, folder))] as const)
    .filter(([, cases]) => cases.length > 0);
  describe.each(chosen)("%s", (folder, cases) => {
    let device: Device;
    let model: LlavaOneVision;
    let own: AdapterFacts;
    beforeAll(async () => {
      device = await sharedDevice({ features });
      own = device.facts;
      forge(device, facts);
      model = await LlavaOneVision.load(await checkpointFiles(`goldens/${folder}`), { device });
    });
    afterAll(async () => {
      model.dispose();
      forge(device, own);
      expect(device.pool.reservedBytes).toBe(0);
      await checkGivenBack(device);
    });

    test.each(cases)(
      "%s",
      async (name) => {
        expect(await goldenFaults(model, folder, name, steps)).toEqual([]);
      },
      timeoutMs,
    );
  });
}
