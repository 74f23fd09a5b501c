import { expect, test } from "vitest";
import { OptionError, OverBudgetError } from "../../../src/base/errors.js";
import {
  checkDevices,
  equalShares,
  type LayerCosts,
  sharesWithin,
  stagesOn,
} from "../../../src/models/sizing/device-shares.js";
import { checkpointFiles, TINY } from "../../support/checkpoint.js";
import { useDevice } from "../../support/device.js";

const held = useDevice();
const other = useDevice({ f16: true });
const files = await checkpointFiles(TINY);

const costs = (layers: number, fixedBytes: readonly number[]): LayerCosts => ({ layers, layerBytes: 10, fixedBytes });
const facts = { facts: { name: "a GPU" } } as Parameters<typeof sharesWithin>[2][number];

test("without bytes all devices take as many, at least a layer each", () => {
  expect(equalShares(costs(80, [0, 0]))).toEqual([40, 40]);
  // 80 layers and what 20 of them take: 50 each.
  expect(equalShares(costs(80, [200, 0]))).toEqual([30, 50]);
  expect(equalShares(costs(5, [0, 0, 0])).reduce((a, b) => a + b)).toBe(5);
  expect(equalShares(costs(4, [10_000, 0]))).toEqual([1, 3]);
  expect(equalShares(costs(3, [10_000, 0, 0]))).toEqual([1, 1, 1]);
});

test("with bytes, in proportion to the room that they leave for layers", () => {
  expect(sharesWithin(costs(30, [100, 0]), [300, 400], [facts, facts])).toEqual([10, 20]);
  // No more than there is room for.
  expect(sharesWithin(costs(6, [0, 0]), [20, 40], [facts, facts])).toEqual([2, 4]);
  for (let layers = 2; layers <= 60; layers++) {
    const shares = sharesWithin(costs(layers, [0, 0]), [170, 430], [facts, facts]);
    expect(shares.reduce((a, b) => a + b)).toBe(layers);
    expect(shares[0]).toBeLessThanOrEqual(17);
    expect(shares[1]).toBeLessThanOrEqual(43);
  }
});

test("too little memory is an error with the device or the sum", () => {
  const within = (bytes: number[]) => sharesWithin(costs(30, [100, 0]), bytes, [facts, facts]);
  expect(() => within([105, 400])).toThrow(/^devices\[0\], a GPU: expected at least/);
  expect(() => within([105, 400])).toThrow(OverBudgetError);
  expect(() => within([200, 190])).toThrow(/^devices: expected room for 30 layers .*got room for 10 and 19/);
});

test("a checkpoint's layers: the first device has fewer, since it has the vision tower and the tables", async () => {
  const devices = [held.device, other.device];
  const stages = await stagesOn(files, devices, {});
  expect(stages.map(({ device }) => device)).toEqual(devices);
  expect(stages.map(({ layers }) => layers)).toEqual([1, 3]);
  const shares = devices.map((device) => ({ device, bytes: 2 ** 30 }));
  expect((await stagesOn(files, shares, {})).reduce((sum, { layers }) => sum + layers, 0)).toBe(4);
  const small = devices.map((device) => ({ device, bytes: 2 ** 20 }));
  await expect(stagesOn(files, small, {})).rejects.toThrow(OverBudgetError);
  await expect(stagesOn(files, [...devices, ...devices, ...devices], {})).rejects.toThrow(OptionError);
});

test("devices are a list of different ones, with bytes for all or for none", () => {
  const [device, second] = [held.device, other.device];
  checkDevices([device, second], {});
  checkDevices([{ device, bytes: 1e9 }], { dtype: "q4", onDeviceLost: "fail" });
  const refused = (devices: unknown) => expect(() => checkDevices(devices, {}));
  for (const wrong of [[], device, [{}], [{ device: {}, bytes: 1 }], [{ device, bytes: 0 }]]) {
    refused(wrong).toThrow("LlavaOneVision.load, devices: expected a list of Devices");
  }
  refused([device, device]).toThrow("expected each device once");
  refused([device, { device: second, bytes: 1e9 }]).toThrow("for all devices, or for none");
});

test.each([
  ["device", {}],
  ["memoryBudget", 1e9],
  ["weights", "stream"],
  ["adapter", "lora"],
])("`%s` beside devices is refused by name", (name, value) => {
  const check = (): void => checkDevices([held.device, other.device], { [name]: value });
  expect(check).toThrow(OptionError);
  expect(check).toThrow(`expected no \`${name}\` beside it`);
});

test("a model on several devices is not reloaded", () => {
  expect(() => checkDevices([held.device, other.device], { onDeviceLost: "reload" })).toThrow(
    '`onDeviceLost` "fail" beside it',
  );
});
