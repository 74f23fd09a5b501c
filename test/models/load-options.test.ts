import { expect, test } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { checkLoadOptions, type LoadOptions } from "../../src/models/load-options.js";
import { useDevice } from "../support/device.js";

const held = useDevice();
const other = useDevice({ f16: true });

test("options that have a meaning are accepted", () => {
  const { device } = held;
  checkLoadOptions({});
  checkLoadOptions({ device, prefillRows: 64, visionCacheBytes: 0, onDeviceLost: "fail" });
  checkLoadOptions({ onDeviceLost: "reload", memoryBudget: 2e9, weights: "auto" });
  checkLoadOptions({ devices: [device, other.device], dtype: "q4" });
  checkLoadOptions({ devices: [{ device, bytes: 2e9 }] });
});

test.each<[string, object, string]>([
  ["an unknown name", { quantization: "q4" }, "did you mean `dtype`?"],
  ["a device of another kind", { device: {} }, "LlavaOneVision.load, device: expected a Device"],
  ["an action that does not exist", { onDeviceLost: "again" }, '"fail" or "reload"'],
  ["a negative cache", { visionCacheBytes: -1 }, "visionCacheBytes"],
  ["half a row", { prefillRows: 0.5 }, "prefillRows"],
  ["no devices", { devices: [] }, "devices: expected a list of Devices"],
  ["devices of another kind", { devices: [{ device: {}, bytes: 1 }] }, "devices: expected a list of Devices"],
])("%s is refused", (_, options, message) => {
  expect(() => checkLoadOptions(options as LoadOptions)).toThrow(OptionError);
  expect(() => checkLoadOptions(options as LoadOptions)).toThrow(message);
});

test("what a model on several devices does not have is refused by name", () => {
  const devices = [held.device, other.device];
  const refused = (options: LoadOptions) => expect(() => checkLoadOptions({ devices, ...options }));
  refused({ device: held.device }).toThrow("expected no `device` beside it");
  refused({ memoryBudget: 1e9 }).toThrow("expected no `memoryBudget` beside it");
  refused({ weights: "stream" }).toThrow("expected no `weights` beside it");
  refused({ adapter: "lora" }).toThrow("expected no `adapter` beside it");
  refused({ onDeviceLost: "reload" }).toThrow('`onDeviceLost` "fail" beside it');
  refused({ devices: [held.device, held.device] }).toThrow("expected each device once");
  refused({ devices: [held.device, { device: other.device, bytes: 1e9 }] }).toThrow("for all devices, or for none");
  expect(() => checkLoadOptions({ device: held.device, onDeviceLost: "reload" })).toThrow('"fail" beside a device');
});
