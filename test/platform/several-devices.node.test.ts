import { describe, expect, test } from "vitest";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { platform } from "../../src/platform/node.js";
import { Device } from "../../src/runtime/device.js";
import { checkpointFiles } from "../support/checkpoint.js";
import { goldenFaults, goldenIndex } from "../support/golden-case.js";

// Golden cases on adapters of the system's driver and SwiftShader together, where both are installed. This file has a process of its own, in
// which no adapter is open yet.

process.env.OCELLUS_ADAPTER = "";

const SLOW_TEST_MS = 600_000;
const { steps, models } = await goldenIndex();
/** The large pictures take minutes on software adapters. */
const isWhole = process.env.OCELLUS_WHOLE_GOLDENS === "1";
const SMALL = ["text", "image-50x37"];
const adapters = await platform.listAdapters!();
if (adapters.length < 2) console.log("several devices: not run, the machine has one adapter");

describe.each([
  [0, 0],
  [0, 1],
  [1, 0],
])("on adapters %i and %i", (first, second) => {
  const [[folder, cases] = ["", []]] = Object.entries(models);
  test.runIf(adapters.length > 1).each(isWhole ? cases : cases.filter((name) => SMALL.includes(name)))(
    "%s",
    async (name) => {
      const devices = [await Device.open({ adapter: first }), await Device.open({ adapter: second })];
      const model = await LlavaOneVision.load(await checkpointFiles(`goldens/${folder}`), { devices });
      expect(model.devices).toEqual(devices);
      expect(await goldenFaults(model, folder, name, steps)).toEqual([]);
      model.dispose();
      for (const device of devices) device.dispose();
    },
    SLOW_TEST_MS,
  );
});
