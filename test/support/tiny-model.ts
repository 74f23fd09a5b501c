import { afterAll, beforeAll } from "vitest";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import type { Device } from "../../src/runtime/device.js";
import { checkpointFiles, TINY } from "./checkpoint.js";
import { checkGivenBack, sharedDevice } from "./device.js";

/** The embedded checkpoint on the shared device for the tests of a file; at their end all its memory must be free. */
export function useTiny(): { readonly device: Device; readonly model: LlavaOneVision } {
  const held = {} as { device: Device; model: LlavaOneVision };
  beforeAll(async () => {
    held.device = await sharedDevice();
    held.model = await LlavaOneVision.load(await checkpointFiles(TINY), { device: held.device });
  });
  afterAll(async () => {
    held.model.dispose();
    await checkGivenBack(held.device);
  });
  return held;
}
