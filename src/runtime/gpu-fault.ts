import { DeviceLostError, KernelError, LimitError, type OcellusError } from "./errors.js";

/** The typed error for what the GPU device reports by itself; `name` is the adapter's. */
export function faultOf(error: GPUError, name: string): OcellusError {
  const where = `GPU device on ${name}`;
  const [got] = error.message.split("\n    at ", 1) as [string];
  return error.constructor.name === "GPUOutOfMemoryError"
    ? new LimitError({
        where,
        expected: "room for another buffer",
        got,
        remedy: "hold the weights in fewer bits (dtype q8 or q4), or ask for fewer pictures or frames",
      })
    : new KernelError({ where, expected: "valid commands", got, remedy: "report this with `ocellus doctor`" });
}

/** The typed error for a lost device. */
export function lossOf(info: GPUDeviceLostInfo, name: string): DeviceLostError {
  return new DeviceLostError({
    where: `GPU device on ${name}`,
    expected: "to stay open",
    got: `${info.reason || "lost"}: ${info.message}`,
    remedy: "load the model again; ask for fewer pictures or a smaller dtype if memory ran out",
  });
}
