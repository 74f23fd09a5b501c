// A worker that loads a checkpoint of the origin private file system with layers that stream, and asks its golden cases.
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { Device } from "../../src/runtime/device.js";
import { goldenFaults } from "./golden-case.js";

export interface Asked {
  /** Path of the checkpoint. */
  readonly location: string;
  readonly folder: string;
  readonly cases: readonly string[];
  readonly steps: number;
}

export interface Told {
  readonly faults: readonly string[];
  /** Bytes that were read by synchronous access handles since the model was loaded. */
  readonly streamedBytes: number;
  /** Bytes that a pass reads. */
  readonly readBytes: number;
}

interface Handles {
  FileSystemSyncAccessHandle: { prototype: { read(into: Uint8Array, options: { at: number }): number } };
}

let bytes = 0;
const { prototype } = (globalThis as unknown as Handles).FileSystemSyncAccessHandle;
const { read } = prototype;
prototype.read = function (into, options) {
  const count = read.call(this, into, options);
  bytes += count;
  return count;
};

/** One for all models: compiling kernels takes longer than the rest. */
let device: Device | undefined;
let model: LlavaOneVision | undefined;

addEventListener("message", async ({ data }: MessageEvent<Asked | "dispose">) => {
  if (data === "dispose") {
    model?.dispose();
    // The files are closed once nothing is read any more.
    await new Promise((resolve) => setTimeout(resolve));
    postMessage("disposed");
    return;
  }
  const { location, folder, cases, steps } = data;
  const faults: string[] = [];
  try {
    const { streaming } = await LlavaOneVision.estimate(location);
    device ??= await Device.open();
    model = await LlavaOneVision.load(location, { device, weights: "stream" });
    bytes = 0;
    for (const name of cases) faults.push(...(await goldenFaults(model, folder, name, steps)));
    postMessage({ faults, streamedBytes: bytes, readBytes: streaming.readBytes } satisfies Told);
  } catch (cause) {
    postMessage({ faults: [String(cause)], streamedBytes: bytes, readBytes: 0 } satisfies Told);
  }
});
