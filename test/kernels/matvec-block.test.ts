import { ADAPTERS } from "../support/adapters.js";
import { ONE_ROW, testProducts } from "../support/products.js";

// The product of one row on CPU adapters without subgroups.

testProducts(ADAPTERS["CPU, no subgroups"]!, {
  sizes: ONE_ROW,
  kernel: (type) => (type === "q8" || type === "q4" ? "matvecBlockQuantized" : "matvecBlock"),
  gatedRows: 1,
});
