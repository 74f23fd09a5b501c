import { describe, expect, it } from "vitest";
import { useFacts } from "../support/adapters.js";
import { useDevice } from "../support/device.js";
import { checkProduct } from "../support/products.js";

// The product of one row with quantized weights on CPU adapters with subgroups, of as many lanes as this adapter's.

const held = useDevice();
const ran = useFacts(held, {});

describe.each(["q8", "q4"] as const)("weights in %s", (type) => {
  it.each([
    [1, 1],
    [32, 32],
    [200, 75],
    [97, 31],
    [256, 640],
  ])("a row of %i by %i columns", async (inner, columns) => {
    await checkProduct(held.device, 1, inner, columns, type);
    expect(ran).toContain("matvecQuantized");
  });
});
