import { describe } from "vitest";
import { ADAPTERS } from "../support/adapters.js";
import { ONE_ROW, testProducts } from "../support/products.js";

// The matrix-vector product on GPUs, computed by the adapter of the tests: narrow matrices, a wide one, and groups that are not full.

describe("slices of the inner dimension by the number of columns", () =>
  testProducts(ADAPTERS["GPU, no subgroups"]!, {
    sizes: [...ONE_ROW, [1, 64, 4128], [1, 1100, 70]],
    kernel: "matvec",
    gatedRows: 1,
  }));
describe.each([8, 16, 32])("%i slices", (slices) =>
  testProducts(
    { ...ADAPTERS["GPU, no subgroups"]!, tuning: { "matvec.slices": slices } },
    { sizes: [[1, 1100, 70]], kernel: "matvec" },
  ),
);
