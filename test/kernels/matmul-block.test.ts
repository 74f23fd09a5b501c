import { describe, expect, it } from "vitest";
import { ADAPTERS, useFacts } from "../support/adapters.js";
import { useDevice } from "../support/device.js";
import { checkGated, checkProduct, WEIGHT_TYPES } from "../support/products.js";

// The product of several rows on CPU adapters without subgroups.

const SIZES = [
  [2, 3, 5],
  [8, 16, 32],
  [9, 200, 75],
  [13, 97, 61],
  [17, 1, 3],
  [3, 1152, 72],
] as const;

const held = useDevice();
const ran = useFacts(held, ADAPTERS["CPU, no subgroups"]!);

describe.each(WEIGHT_TYPES)("weights in %s", (type) => {
  it.each(SIZES)("%i rows of %i by %i columns", async (rows, inner, columns) => {
    await checkProduct(held.device, rows, inner, columns, type);
    expect(ran).toContain("matmulBlock");
  });
});

it("norm before and SwiGLU after", async () => {
  await checkGated(held.device, 11, 208);
  expect(ran).toContain("matmulBlock");
});
