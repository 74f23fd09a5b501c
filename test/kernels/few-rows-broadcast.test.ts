import { SEVERAL_ROWS, testProducts } from "../support/products.js";

// The product of 2 to 16 rows on CPU adapters with subgroups, of as many lanes as this adapter's; 4 on SwiftShader, 8 on lavapipe.

testProducts(
  {},
  {
    sizes: SEVERAL_ROWS.filter(([rows]) => rows <= 16),
    types: ["f32", "f16", "bf16"],
    kernel: "fewRowsBroadcast",
    gatedRows: 11,
  },
);
