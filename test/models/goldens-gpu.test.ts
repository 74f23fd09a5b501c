import { ADAPTERS } from "../support/adapters.js";
import { testGoldens } from "../support/goldens.js";

// Whole answers by the kernels of GPUs, computed by the adapter of the tests. SwiftShader takes half a minute for a text: one there, some
// on lavapipe, and with OCELLUS_ALL_GOLDENS=1 all on either.
const isWhole = process.env.OCELLUS_ALL_GOLDENS === "1";
const FEW = process.env.OCELLUS_ADAPTER === "system" ? ["text", "image-50x37", "two-turns"] : ["text"];
await testGoldens(
  "all",
  (name, folder) => isWhole || (FEW.includes(name) && (FEW.length > 1 || folder === "hf-05b-like")),
  ADAPTERS["GPU, no subgroups"],
);
