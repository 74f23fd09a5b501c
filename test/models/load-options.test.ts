import { expect, test } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { checkLoadOptions, type LoadOptions } from "../../src/models/load-options.js";
import { useDevice } from "../support/device.js";

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
])("%s is refused", (_, options, message) => {
  expect(() => checkLoadOptions(options as LoadOptions)).toThrow(OptionError);
  expect(() => checkLoadOptions(options as LoadOptions)).toThrow(message);
});

test("the caller of a device replaces it", () => {
  const options: LoadOptions = { device: held.device, onDeviceLost: "reload" };
  expect(() => checkLoadOptions(options)).toThrow('"fail" beside a device');
});
