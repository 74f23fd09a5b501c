import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { platform } from "#platform";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import type { Device } from "../../src/runtime/device.js";
import { checkpointFiles } from "../support/checkpoint.js";
import { checkGivenBack, sharedDevice } from "../support/device.js";
import { goldenFaults, goldenIndex } from "../support/golden-case.js";
import { packedFiles } from "../support/packed.js";

// Golden cases from packed copies. The bytes on the device are those of the original (`packed-files.test.ts`), so a few are enough.

const SLOW_TEST_MS = 600_000;
const { steps, models } = await goldenIndex();
const isOnce = platform.name === "browser";
const CASES = isOnce ? ["text"] : ["text", "image-423x47"];
const chosen = Object.entries(models).slice(0, isOnce ? 1 : undefined);

describe.each(chosen)("%s", (folder, cases) => {
  let device: Device;
  let model: LlavaOneVision;
  beforeAll(async () => {
    device = await sharedDevice();
    const files = await packedFiles(await checkpointFiles(`goldens/${folder}`), { device, dtype: "auto" });
    model = await LlavaOneVision.load(files, { device });
  });
  afterAll(async () => {
    model.dispose();
    await checkGivenBack(device);
  });

  test.each(cases.filter((name) => CASES.includes(name)))(
    "%s",
    async (name) => {
      expect(await goldenFaults(model, folder, name, steps)).toEqual([]);
    },
    SLOW_TEST_MS,
  );
});
