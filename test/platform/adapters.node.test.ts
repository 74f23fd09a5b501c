import { describe, expect, test } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { platform } from "../../src/platform/node.js";
import { byPreference, chosenAdapter, type ListedAdapter, systemNames } from "../../src/platform/node-adapters.js";
import { adapterName } from "../../src/platform/platform.js";
import { Device } from "../../src/runtime/device.js";

const listed = (own: string, vendor: string, isFallbackAdapter = false): ListedAdapter => {
  const info = { vendor, architecture: "", device: "", description: own, isFallbackAdapter };
  return { adapter: { info } as unknown as GPUAdapter, names: [own, adapterName(info as GPUAdapterInfo)] };
};
const [cpu, large, small] = [listed("llvmpipe", "mesa", true), listed("Card 9", "nvidia"), listed("Card 7", "amd")];

test("Dawn's list of adapters: each name once", async () => {
  const message = [
    "no suitable backends found",
    "Available adapters:",
    " * backend: 'vulkan', name: 'Card 9 (PCIe, 24 GB)'",
    " * backend: 'vulkan', name: 'llvmpipe (LLVM 15.0.6, 256 bits)'",
    " * backend: 'opengl', name: 'Card 9 (PCIe, 24 GB)'",
  ].join("\n");
  const flags: string[] = [];
  const names = await systemNames((flag) => {
    flags.push(flag);
    return Promise.reject(new Error(message));
  });
  expect(names).toEqual(["Card 9 (PCIe, 24 GB)", "llvmpipe (LLVM 15.0.6, 256 bits)"]);
  expect(flags).toEqual([expect.stringMatching(/^adapter=/)]);
  expect(await systemNames(async () => null)).toEqual([]);
});

describe("an adapter is chosen", () => {
  const adapters = byPreference([cpu, large, small]);
  test("by its number, GPUs first", () => {
    expect([0, 1, 2].map((i) => chosenAdapter(adapters, i))).toEqual([large, small, cpu]);
  });
  test("by a part of either name", () => {
    expect(chosenAdapter(adapters, "card 7")).toBe(small);
    expect(chosenAdapter(adapters, "NVIDIA")).toBe(large);
  });
  test.each([
    [3, "expected one of 0 nvidia (Card 9), 1 amd (Card 7), 2 mesa (llvmpipe), got 3"],
    ["intel", 'got "intel"'],
    ["card", 'got "card", which is in the names of 2 — choose by number: 0 nvidia (Card 9)'],
  ])("or refused: %j", (wanted, message) => {
    expect(() => chosenAdapter(adapters, wanted)).toThrow(OptionError);
    expect(() => chosenAdapter(adapters, wanted)).toThrow(message);
  });
});

test("the listed adapters can be opened, also twice", async () => {
  const adapters = await platform.listAdapters!();
  const [first] = adapters;
  expect(first).toBeDefined();
  const devices = [await Device.open({ adapter: 0 }), await Device.open({ adapter: 0 })];
  for (const device of devices) {
    expect(device.facts.name).toBe(adapterName(first!.info));
    expect(device.facts.reasons[0]).toContain("was chosen by the program.");
    device.dispose();
  }
  await expect(Device.open({ adapter: adapters.length })).rejects.toThrow("Device.open, adapter: expected one of 0 ");
});
