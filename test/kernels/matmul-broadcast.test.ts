import { expect, it } from "vitest";
import type { AdapterFacts } from "../../src/runtime/adapter.js";
import { Kernel } from "../../src/runtime/kernel.js";
import { ADAPTERS, useFacts } from "../support/adapters.js";
import { useDevice } from "../support/device.js";
import { checkGated, checkProduct } from "../support/products.js";

// The product of several rows on CPU adapters with subgroups of 8 lanes; on others a workgroup of 8 lanes is emulated.

const LANE = "@builtin(subgroup_invocation_id) lane: u32) {";

const BROADCAST = `
var<workgroup> ofLanes: array<vec4f, LANES>;
var<private> ownLane: u32;
fn subgroupBroadcast(value: vec4f, lane: u32) -> vec4f {
  ofLanes[ownLane] = value;
  workgroupBarrier();
  let broadcast = ofLanes[lane];
  workgroupBarrier();
  return broadcast;
}`;

/** A kernel whose lanes exchange values through workgroup memory. */
function emulated(kernel: Kernel, own: AdapterFacts): Kernel {
  if (kernel.name !== "matmulBroadcast" || own.broadcastLanes === kernel.constants.LANES) return kernel;
  const body = kernel.body.replace(LANE, "@builtin(local_invocation_index) lane: u32) { ownLane = lane;");
  const header = kernel.header.filter((line) => line !== "enable subgroups;");
  return new Kernel(kernel.name, body, kernel.constants, [...header, BROADCAST]);
}

const held = useDevice();
const ran = useFacts(held, ADAPTERS["CPU, subgroups of 8"]!, emulated);

it.each([
  [17, 3, 5, "f32"],
  [32, 16, 32, "f16"],
  [20, 200, 75, "bf16"],
  [29, 97, 61, "q8"],
  [33, 64, 33, "q4"],
] as const)("%i rows of %i by %i columns, weights in %s", async (rows, inner, columns, type) => {
  await checkProduct(held.device, rows, inner, columns, type);
  expect(ran).toContain("matmulBroadcast");
});

it("norm before and SwiGLU after", async () => {
  await checkGated(held.device, 19, 208);
  expect(ran).toContain("matmulBroadcast");
});
