import { causeMessage } from "../base/cause-message.js";
import { DeviceLostError, DisposedError, KernelError, LimitError, OcellusError } from "../base/errors.js";

/** Converts an uncaptured error of the GPU device; `name` is the adapter's. */
export function faultOf(error: GPUError, name: string): OcellusError {
  const where = `GPU device on ${name}`;
  const [got] = error.message.split("\n    at ", 1) as [string];
  return error.constructor.name === "GPUOutOfMemoryError"
    ? new LimitError({
        where,
        expected: "room for another buffer",
        got,
        remedy: "use a smaller dtype (q8 or q4), or fewer pictures or frames",
      })
    : new KernelError({ where, expected: "valid commands", got, remedy: "report this with `ocellus doctor`" });
}

/** Converts the rejection of a GPU promise, such as a map that failed; errors with a code stay as they are. */
export function rejectionOf(cause: unknown, name: string): unknown {
  if (cause instanceof OcellusError) return cause;
  return new KernelError({
    where: `GPU device on ${name}`,
    expected: "results that can be read",
    got: causeMessage(cause),
    remedy: "try again; if it stays, report this with `ocellus doctor`",
    cause,
  });
}

/** Converts the loss of a device. */
export function lossOf(info: GPUDeviceLostInfo, name: string): DeviceLostError {
  return new DeviceLostError({
    where: `GPU device on ${name}`,
    expected: "to stay open",
    got: `${info.reason || "lost"}: ${info.message}`,
    remedy: "load the model again; if memory ran out, use a smaller dtype, or fewer pictures or frames",
  });
}

/** Returns the error for the use of a device after its disposal. */
export function disposedDevice(): DisposedError {
  return new DisposedError({
    where: "Device",
    expected: "an open device",
    got: "a disposed one",
    remedy: "open another with Device.open()",
  });
}
