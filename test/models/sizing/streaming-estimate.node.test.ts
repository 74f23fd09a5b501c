import { expect, test } from "vitest";
import { OptionError } from "../../../src/base/errors.js";
import { uploadBytes } from "../../../src/bench/model-sizes.js";
import { bytesSource } from "../../../src/io/bytes/source.js";
import { LlavaOneVision } from "../../../src/models/llava-onevision.js";
import { estimate } from "../../../src/models/sizing/estimate.js";
import { measuredRate } from "../../../src/models/sizing/streaming-estimate.js";
import { checkpointFiles, TINY } from "../../support/checkpoint.js";
import { useDevice } from "../../support/device.js";
import { packedFiles } from "../../support/packed.js";

const files = await checkpointFiles(TINY);
const held = useDevice();
/** Bytes of a layer of the toy as it is stored: 256 wide, 4 query and 2 key/value heads of 64, 640 in the middle, in 16 bits. */
const STORED = 2 * (256 * (256 + 128 + 128) + 512 + 256 * 256 + 3 * 640 * 256 + 2 * 256);
/** And of its table of 640 tokens, which is the head too. */
const TABLE = 2 * 640 * 256;

test("the least memory, a layer's, and what is read for a token", async () => {
  const { device } = held;
  const { streaming, totalBytes, weightsBytes } = await estimate(files, { device });
  const model = await LlavaOneVision.load(files, { device, weights: "stream" });
  const { language, vision } = model.internals.network;
  const [slotBytes, visionSlotBytes] = [language, vision].map(({ store }) => {
    return [...store.slots[0]!.blocks].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }) as [number, number];
  const absent = 2 * (slotBytes + visionSlotBytes) + TABLE / 2;
  expect(streaming).toMatchObject({
    layerBytes: slotBytes,
    layers: 4,
    residentLayers: 0,
    everything: true,
    readBytes: 4 * STORED + TABLE,
  });
  expect(streaming.readSeconds).toBeUndefined();
  // Two of four layers are not there, of the decoder and of the tower, nor are two of four blocks of the table; a piece of 2 MiB is read, and a
  // prompt of 4,096 rows has its hidden states.
  expect(device.pool.liveBytes).toBe(weightsBytes - absent);
  const more = streaming.leastBytes - (totalBytes - absent);
  expect(more).toBeGreaterThanOrEqual(2 ** 21);
  expect(more).toBeLessThanOrEqual(2 ** 21 + 4096 * 256 * 4 + 2 ** 20);
  model.dispose();
});

test("a budget keeps layers, and a rate gives the seconds of a token", async () => {
  const options = { device: held.device, readBytesPerSecond: 1e6 };
  const { leastBytes, layerBytes } = (await estimate(files, options)).streaming;
  const with1 = await estimate(files, { ...options, memoryBudget: leastBytes + layerBytes });
  expect(with1.streaming).toMatchObject({
    residentLayers: 1,
    readBytes: 3 * STORED + TABLE,
    readSeconds: (3 * STORED + TABLE) / 1e6,
  });
  // Less room than a layer takes is enough for the head.
  const with0 = await estimate(files, { ...options, memoryBudget: leastBytes + layerBytes - 1 });
  expect(with0.streaming).toMatchObject({ residentLayers: 0, everything: false, readBytes: 4 * STORED });
  const { readSeconds } = (await estimate(files, { readBytesPerSecond: "measured" })).streaming;
  expect(readSeconds).toBeGreaterThan(0);
  await expect(estimate(files, { readBytesPerSecond: 0 })).rejects.toThrow(OptionError);
  await expect(estimate(files, { memoryBudget: -1 })).rejects.toThrow("estimate, memoryBudget: expected a number");
});

test("of a packed checkpoint whole layers are read, as a pass reads them", async () => {
  const packed = await packedFiles(files, { dtype: "q4" });
  const model = await LlavaOneVision.load(packed, { device: held.device, weights: "stream" });
  const { language } = model.internals.network;
  const bytes = uploadBytes(language, 0) + language.tables!.head.sizeBytes;
  model.dispose();
  expect((await estimate(packed)).streaming.readBytes).toBe(bytes);
});

test("a rate is measured on what is read, at most 256 MiB", async () => {
  let bytes = 0;
  const read = async (_offset: number, lengthBytes: number): Promise<Uint8Array> => {
    bytes += lengthBytes;
    return new Uint8Array(lengthBytes);
  };
  const source = { ...bytesSource(new Uint8Array(0), "large"), read };
  expect(await measuredRate([{ source, offsetBytes: 0, lengthBytes: 2 ** 40 }], undefined)).toBeGreaterThan(0);
  expect(bytes).toBeGreaterThan(0);
  expect(bytes).toBeLessThanOrEqual(2 ** 28);
});
