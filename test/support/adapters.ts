import { afterEach, beforeEach } from "vitest";
import type { AdapterFacts } from "../../src/runtime/adapter.js";
import type { Device } from "../../src/runtime/device.js";
import type { Kernel } from "../../src/runtime/kernel.js";
import { forge } from "./adapter-facts.js";

export { ADAPTERS, forge } from "./adapter-facts.js";

/**
 * In every test of the file or group, the device chooses its kernels as an adapter of `facts` does, and computes them itself, or what
 * `emulate` makes of them. Returns the names of the kernels that the current test has run.
 */
export function useFacts(
  held: { readonly device: Device },
  facts: Partial<AdapterFacts>,
  emulate = (kernel: Kernel, _own: AdapterFacts): Kernel => kernel,
): readonly string[] {
  const ran: string[] = [];
  let own: AdapterFacts;
  beforeEach(() => {
    const { device } = held;
    own = device.facts;
    ran.length = 0;
    forge(device, facts);
    device.run = (kernel, ...others) => {
      ran.push(kernel.name);
      Object.getPrototypeOf(device).run.call(device, emulate(kernel, own), ...others);
    };
  });
  afterEach(() => {
    forge(held.device, own);
    Reflect.deleteProperty(held.device, "run");
  });
  return ran;
}

/** The device as one of an adapter with small bindings, for matrices in several blocks. */
export function withBindings(device: Device, maxBindingBytes: number): Device {
  return new Proxy(device, {
    get(target, key) {
      if (key === "facts") return { ...target.facts, maxBindingBytes };
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
