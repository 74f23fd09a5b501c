import { ADAPTERS } from "../support/adapters.js";
import { MANY_ROWS, testProducts } from "../support/products.js";

// The product of several rows on CPU adapters with subgroups of 4 lanes.

testProducts(ADAPTERS["CPU, subgroups of 4"]!, { sizes: MANY_ROWS, kernel: "matmulBroadcast4", gatedRows: 19 });
