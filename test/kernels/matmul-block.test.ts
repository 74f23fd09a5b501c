import { ADAPTERS } from "../support/adapters.js";
import { SEVERAL_ROWS, testProducts } from "../support/products.js";

// The product of several rows on CPU adapters without subgroups.

testProducts(ADAPTERS["CPU, no subgroups"]!, { sizes: SEVERAL_ROWS, kernel: "matmulBlock", gatedRows: 11 });
