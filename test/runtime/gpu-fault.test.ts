import { expect, test } from "vitest";
import { DeviceLostError, KernelError, LimitError } from "../../src/base/errors.js";
import { Faults, faultOf, isOutOfMemory, lossOf } from "../../src/runtime/gpu-fault.js";

class GPUOutOfMemoryError {
  readonly message = "no room";
}
class GPUValidationError {
  readonly message = "invalid buffer\n    at a stack";
}
const full = () => faultOf(new GPUOutOfMemoryError() as GPUError, "an adapter");
const invalid = () => faultOf(new GPUValidationError() as GPUError, "an adapter");
const lost = () => lossOf({ reason: "destroyed", message: "gone" } as GPUDeviceLostInfo, "an adapter");

test("errors have the class of their kind", () => {
  expect(full()).toBeInstanceOf(LimitError);
  expect(isOutOfMemory(full())).toBe(true);
  expect(isOutOfMemory(new LimitError(full().fault))).toBe(false);
  expect(invalid()).toBeInstanceOf(KernelError);
  expect(invalid().fault.got).toBe("invalid buffer");
  expect(lost()).toBeInstanceOf(DeviceLostError);
});

test("an error is thrown once, and to all whose work it may have dropped", () => {
  const faults = new Faults();
  const [before, fault] = [faults.count, invalid()];
  faults.check(before);
  faults.report(fault);
  expect(() => faults.check(faults.count)).toThrow(fault);
  faults.check(faults.count);
  expect(() => faults.check(before)).toThrow(fault);
});

test("errors about the buffer that was refused are the error of memory, until the work has completed", () => {
  const faults = new Faults();
  const shortage = full();
  faults.reportUncaptured(shortage);
  expect(() => faults.check(faults.count)).toThrow(shortage);
  faults.reportUncaptured(invalid());
  expect(() => faults.check(faults.count)).toThrow(shortage);
  faults.settle();
  faults.reportUncaptured(invalid());
  expect(() => faults.check(faults.count)).toThrow(KernelError);
});

test("a lost device stays lost", () => {
  const faults = new Faults();
  const loss = lost();
  faults.reportUncaptured(full());
  faults.report(loss);
  faults.reportUncaptured(invalid());
  for (let i = 0; i < 2; i++) expect(() => faults.check(faults.count)).toThrow(loss);
  expect(faults.lost).toBe(true);
});
