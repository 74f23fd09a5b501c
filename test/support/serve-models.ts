import { Device } from "../../src/runtime/device.js";
import { serve } from "../../src/worker/index.js";

/** A worker of a page. It serves models, and says how many bytes its devices hold when it is asked `"bytes"`; `"lose"` destroys the newest. */
const open = Device.open;
const devices: Device[] = [];
Device.open = async (options) => {
  const device = await open.call(Device, options);
  devices.push(device);
  return device;
};

serve(self);

addEventListener("message", ({ data }) => {
  if (data === "bytes") self.postMessage(devices.reduce((sum, { pool }) => sum + pool.reservedBytes, 0));
  if (data === "lose") devices.at(-1)?.gpu.destroy();
  if (data === "fail") throw new RangeError("from the worker");
});
