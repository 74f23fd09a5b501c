// `NODE_OPTIONS=--import=…/bench/lose-device.mjs`: the model's process of `ocellus serve` loses its GPU device on SIGUSR2.
import process from "node:process";

if (/model-process\.js$/.test(process.argv[1] ?? "")) {
  const { Device } = await import("../dist/runtime/device.js");
  const open = Device.open.bind(Device);
  Device.open = async (options) => {
    const device = await open(options);
    process.on("SIGUSR2", () => {
      // For the clock: a signal waits while the process computes.
      process.stderr.write('{"event":"destroyed"}\n');
      device.gpu.destroy();
    });
    return device;
  };
}
