import { describe, expect, it } from "vitest";
import { ADAPTERS, useFacts } from "../support/adapters.js";
import { useDevice } from "../support/device.js";
import { checkGated, checkProduct, WEIGHT_TYPES } from "../support/products.js";

// The product of one row on CPU adapters without subgroups.

const held = useDevice();
const ran = useFacts(held, ADAPTERS["CPU, no subgroups"]!);

describe.each(WEIGHT_TYPES)("weights in %s", (type) => {
  it.each([
    [1, 1],
    [32, 32],
    [200, 75],
    [97, 31],
    [256, 640],
  ])("a row of %i by %i columns", async (inner, columns) => {
    await checkProduct(held.device, 1, inner, columns, type);
    expect(ran).toContain(type === "q8" || type === "q4" ? "matvecBlockQuantized" : "matvecBlock");
  });
});

it("norm before and SwiGLU after", async () => {
  await checkGated(held.device, 1, 208);
  expect(ran).toContain("matvecBlock");
});
