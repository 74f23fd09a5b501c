import { describe, expect, test } from "vitest";
import { platform } from "#platform";
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

  test.runIf(platform.name === "node")("times are not rounded to the 65.536 µs of browsers", async () => {
    const { device } = held;
    if (!device.facts.timestamps) return;
    device.profile.start();
    for (let i = 0; i < 20; i++) device.scope(() => void argmax(device.upload(new Float32Array(99), [99], "x"), 99));
    await device.sync();
    const nanoseconds = (await device.profile.stop()).map(({ milliseconds }) => Math.round(milliseconds * 1e6));
    expect(nanoseconds.some((time) => time % 65536 !== 0)).toBe(true);
  });
});
