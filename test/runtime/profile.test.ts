import { describe, expect, test } from "vitest";
import { argmax } from "../../src/kernels/argmax.js";
import { FEATURES, useDevice } from "../support/device.js";

describe.each(FEATURES)("profile, features %s", (features) => {
  const held = useDevice({ features });

  test("names every dispatch between start and stop, with times where the adapter has a clock", async () => {
    const { device } = held;
    const once = async () => {
      const y = device.scope(() => argmax(device.upload(new Float32Array(9000), [9000], "x"), 9000));
      await device.sync();
      y.dispose();
    };
    await once();
    device.profile.start();
    await once();
    await once();
    const passes = await device.profile.stop();
    expect(passes.map(({ name }) => name)).toEqual(["argmax", "argmaxMerge", "argmax", "argmaxMerge"]);
    const sum = passes.reduce((total, { milliseconds }) => total + milliseconds, 0);
    if (!device.facts.timestamps) expect(sum).toBe(0);
    else expect(sum).toBeGreaterThanOrEqual(0);
    await once();
    expect(await device.profile.stop()).toEqual([]);
  });
});
