import type { Machine, State } from "../../src/structure/machine.js";

/** Whether a machine reads a text to its end. */
export function reads(machine: Machine, text: string): boolean {
  let state: State | null = machine.start;
  for (const byte of new TextEncoder().encode(text)) {
    state = machine.step(state, byte);
    if (!state) return false;
  }
  return state.complete;
}
