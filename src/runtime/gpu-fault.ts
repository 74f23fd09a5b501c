import { causeMessage } from "../base/cause-message.js";
import { DeviceLostError, DisposedError, KernelError, LimitError, OcellusError } from "../base/errors.js";

/** The adapter has no memory left for a buffer. */
class OutOfMemory extends LimitError {}

/** Whether an error says that the adapter ran out of memory, so that the call may succeed with less. */
export function isOutOfMemory(cause: unknown): cause is LimitError {
  return cause instanceof OutOfMemory;
}

/** Converts an uncaptured error of the GPU device; `name` is the adapter's. */
export function faultOf(error: GPUError, name: string): OcellusError {
  const where = `GPU device on ${name}`;
  const [got] = error.message.split("\n    at ", 1) as [string];
  return error.constructor.name === "GPUOutOfMemoryError"
    ? new OutOfMemory({
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

/** The errors that a device reported. */
export class Faults {
  /** The error of the next check. */
  pending: OcellusError | undefined;
  /** Number of errors so far. */
  count = 0;
  #latest: OcellusError | undefined;
  /** The out-of-memory error that errors about the missing buffer may follow. */
  #shortage: OcellusError | undefined;

  get lost(): boolean {
    return this.pending instanceof DeviceLostError;
  }

  /** Reports an error that has no cause among the others: a loss, a kernel that does not compile. */
  report(fault: OcellusError): void {
    if (this.lost) return;
    this.pending = fault;
    this.#latest = fault;
    this.count++;
  }

  /** Reports an uncaptured error. Only the first is kept: the following ones are about the buffer or pipeline that it left invalid. */
  reportUncaptured(fault: OcellusError): void {
    if (isOutOfMemory(fault)) this.#shortage ??= fault;
    this.report(this.#shortage ?? this.pending ?? fault);
  }

  /** All submitted work has completed: later errors are not about a buffer that was missing. */
  settle(): void {
    this.#shortage = undefined;
  }

  /** Throws the pending error, or one that was reported after the first `since`. */
  check(since: number): void {
    const { pending } = this;
    // A lost device stays lost; other errors are reported once, and the next call may succeed.
    if (!this.lost) this.pending = undefined;
    if (pending) throw pending;
    if (since !== this.count) throw this.#latest;
  }
}
