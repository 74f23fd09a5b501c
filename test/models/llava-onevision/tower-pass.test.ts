import { expect, test, vi } from "vitest";
import { AbortedError } from "../../../src/base/errors.js";
import { SigLIPLayer } from "../../../src/models/llava-onevision/siglip.js";
import type { LlavaOneVision } from "../../../src/models/llava-onevision.js";
import { LlavaOneVision as Model } from "../../../src/models/llava-onevision.js";
import { checkpointFiles, TINY } from "../../support/checkpoint.js";
import { useDevice } from "../../support/device.js";
import { testPicture } from "../../support/pixels.js";

const held = useDevice();
const files = await checkpointFiles(TINY);
const PICTURE = testPicture(40, 200);

async function withModel<T>(weights: "stream" | "resident", work: (model: LlavaOneVision) => Promise<T>): Promise<T> {
  const model = await Model.load(files, { device: held.device, weights, visionCacheBytes: 0 });
  try {
    return await work(model);
  } finally {
    model.dispose();
  }
}

test.each(["features", "tokens"] as const)(
  "%s of a tower that streams are those of one that stays, bit by bit",
  async (of) => {
    const rows = (model: LlavaOneVision) => model.embedImage(PICTURE, { of });
    const truth = await withModel("resident", rows);
    const got = await withModel("stream", async (model) => {
      const { store } = model.internals.network.vision;
      expect(store.streams).toBe(true);
      expect(store.slots.length).toBe(2);
      const both = await Promise.all([rows(model), rows(model)]);
      expect(both[1]).toEqual(both[0]);
      return both[0];
    });
    expect(got).toEqual(truth);
  },
);

test("an abort ends a pass within a layer, and the next one is whole", async () => {
  await withModel("stream", async (model) => {
    const truth = await model.embedImage(PICTURE);
    const controller = new AbortController();
    const forward = vi.spyOn(SigLIPLayer.prototype, "forward").mockImplementationOnce(function (this: SigLIPLayer, x) {
      controller.abort();
      return x.device.scope(() => x.device.empty(x.shape, "f32", "x"));
    });
    await expect(model.embedImage(PICTURE, { signal: controller.signal })).rejects.toThrow(AbortedError);
    expect(forward).toHaveBeenCalledTimes(1);
    forward.mockRestore();
    expect(await model.embedImage(PICTURE)).toEqual(truth);
  });
});
