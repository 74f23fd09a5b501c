import { SEVERAL_ROWS, testProducts } from "../support/products.js";

// The same with quantised weights.

testProducts(
  {},
  { sizes: SEVERAL_ROWS.filter(([rows]) => rows <= 16), types: ["q8", "q4"], kernel: "fewRowsQuantized" },
);
