import { ONE_ROW, testProducts } from "../support/products.js";

// The product of one row on CPU adapters with subgroups, of as many lanes as this adapter's; 4 on SwiftShader, 8 on lavapipe.

testProducts({}, { sizes: ONE_ROW, types: ["f32", "f16", "bf16"], kernel: "matvecBroadcast", gatedRows: 1 });
