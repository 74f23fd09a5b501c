import { ONE_ROW, testProducts } from "../support/products.js";

// The product of one row with quantized weights on CPU adapters with subgroups, of as many lanes as this adapter's.

testProducts({}, { sizes: ONE_ROW, types: ["q8", "q4"], kernel: "matvecQuantized" });
