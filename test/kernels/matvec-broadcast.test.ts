import { describe, expect, it } from "vitest";
import { useFacts } from "../support/adapters.js";
import { useDevice } from "../support/device.js";
import { checkGated, checkProduct } from "../support/products.js";

// The product of one row on CPU adapters with subgroups, of as many lanes as this adapter's; 4 on SwiftShader, 8 on lavapipe.

const held = useDevice();
const ran = useFacts(held, {});

describe.each(["f32", "f16", "bf16"] as const)("weights in %s", (type) => {
  it.each([
    [1, 1],
    [32, 32],
    [200, 75],
    [97, 31],
    [256, 640],
  ])("a row of %i by %i columns", async (inner, columns) => {
    await checkProduct(held.device, 1, inner, columns, type);
    expect(ran).toContain("matvecBroadcast");
  });
});

it("norm before and SwiGLU after", async () => {
  await checkGated(held.device, 1, 208);
  expect(ran).toContain("matvecBroadcast");
});
