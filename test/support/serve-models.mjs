import { parentPort } from "node:worker_threads";
import { Device } from "../../dist/index.js";
import { serve } from "../../dist/worker/index.js";

/** A worker of Node. It serves models, and says how many bytes its devices hold when it is asked `"bytes"`; `"lose"` destroys the newest. */
const open = Device.open;
const devices = [];
Device.open = async (options) => {
  const device = await open.call(Device, options);
  devices.push(device);
  return device;
};

serve(parentPort);

parentPort.on("message", (data) => {
  if (data === "bytes") parentPort.postMessage(devices.reduce((sum, { pool }) => sum + pool.reservedBytes, 0));
  if (data === "lose") devices.at(-1).gpu.destroy();
  if (data === "fail") throw new RangeError("from the worker");
});
