import { expect, test } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { checkLoadOptions, type LoadOptions } from "../../src/models/load-options.js";
import { useDevice } from "../support/device.js";

test("sizes of caches are numbers of bytes, and rows are whole numbers above 0", () => {
  for (const options of [
    {},
    { visionCacheBytes: 0, prefixCacheBytes: 0 },
    { prefixCacheBytes: 2 ** 30, prefillRows: 1 },
  ])
    expect(() => checkLoadOptions(options)).not.toThrow();
  const wrong: [LoadOptions, RegExp][] = [
    [{ prefixCacheBytes: -1 }, /LlavaOneVision.load, prefixCacheBytes: expected a number of bytes, 0 or above, got -1/],
    [{ visionCacheBytes: Number.NaN }, /visionCacheBytes: expected a number of bytes/],
    [{ prefillMs: -1 }, /prefillMs: expected a number of milliseconds, 0 or above, got -1/],
    [{ prefillRows: 0.5 }, /prefillRows: expected a whole number above 0, got 0.5/],
    [{ prefixCacheByte: 1 } as LoadOptions, /did you mean `prefixCacheBytes`/],
  ];
  for (const [options, message] of wrong) {
    expect(() => checkLoadOptions(options)).toThrow(OptionError);
    expect(() => checkLoadOptions(options)).toThrow(message);
  }
});

const held = useDevice();

test("options that have a meaning are accepted", () => {
  const { device } = held;
  checkLoadOptions({});
  checkLoadOptions({ device, prefillRows: 64, visionCacheBytes: 0, onDeviceLost: "fail" });
  checkLoadOptions({ onDeviceLost: "reload", memoryBudget: 2e9, weights: "auto" });
  checkLoadOptions({ devices: [device], dtype: "q4" });
});

test.each<[string, object, string]>([
  ["an unknown name", { quantization: "q4" }, "did you mean `dtype`?"],
  ["a device of another kind", { device: {} }, "LlavaOneVision.load, device: expected a Device"],
  ["an action that does not exist", { onDeviceLost: "again" }, '"fail" or "reload"'],
  ["a negative cache", { visionCacheBytes: -1 }, "visionCacheBytes"],
  ["half a row", { prefillRows: 0.5 }, "prefillRows"],
  ["less than no time", { prefillMs: -1 }, "prefillMs"],
])("%s is refused", (_, options, message) => {
  expect(() => checkLoadOptions(options as LoadOptions)).toThrow(OptionError);
  expect(() => checkLoadOptions(options as LoadOptions)).toThrow(message);
});

test("the caller of a device replaces it", () => {
  const options: LoadOptions = { device: held.device, onDeviceLost: "reload" };
  expect(() => checkLoadOptions(options)).toThrow('"fail" beside a device');
});
