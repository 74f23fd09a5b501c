import { ADAPTERS } from "../support/adapters.js";
import { SEVERAL_ROWS, testProducts } from "../support/products.js";

// The product of several rows on CPU adapters with subgroups of 4 lanes.

testProducts(ADAPTERS["CPU, subgroups of 4"]!, { sizes: SEVERAL_ROWS, kernel: "matmulBroadcast4", gatedRows: 11 });
