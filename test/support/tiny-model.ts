import { afterAll, beforeAll } from "vitest";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import type { Device } from "../../src/runtime/device.js";
import { checkpointFiles, TINY } from "./checkpoint.js";
import { checkGivenBack, sharedDevice } from "./device.js";

interface Held {
  readonly device: Device;
  readonly model: LlavaOneVision;
  /** Bytes on the device without any session. */
  readonly weights: number;
}

/** The embedded checkpoint on the shared device for the tests of a file; at their end all its memory must be free. */
export function useTiny(): Held {
  const held = {} as { -readonly [Name in keyof Held]: Held[Name] };
  beforeAll(async () => {
    held.device = await sharedDevice();
    held.model = await LlavaOneVision.load(await checkpointFiles(TINY), { device: held.device });
    held.weights = held.device.pool.liveBytes;
  });
  afterAll(async () => {
    held.model.dispose();
    await checkGivenBack(held.device);
  });
  return held;
}
