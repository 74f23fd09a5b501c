import { expect, it } from "vitest";
import { ADAPTERS, useFacts } from "../support/adapters.js";
import { useDevice } from "../support/device.js";
import { checkFused, checkGated, WEIGHT_TYPES } from "../support/products.js";

// The product of a few rows on GPUs, computed by the adapter of the tests.

const held = useDevice();
const ran = useFacts(held, ADAPTERS["GPU, no subgroups"]!);

it.each([2, 3, 5, 8, 9, 16])("%i rows", async (rows) => {
  await checkFused(held.device, rows, 40, 75, "f32");
  await checkGated(held.device, rows, 48);
  expect(new Set(ran)).toContain("matvecRows");
});

// How weights are read is the same for any number of rows, and for more of them compiles longer.
it.each(WEIGHT_TYPES)("3 rows, weights in %s", async (type) => {
  await checkFused(held.device, 3, 97, 61, type);
  expect(ran).toContain("matvecRows");
});
