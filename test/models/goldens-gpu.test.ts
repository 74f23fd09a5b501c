import { ADAPTERS } from "../support/adapters.js";
import { testGoldens } from "../support/goldens.js";

// Whole answers by the kernels of GPUs, computed by the adapter of the tests. Software adapters compile and compute them slowly, so a
// text there, and a picture on lavapipe; OCELLUS_ALL_GOLDENS=1 takes all cases.
const isWhole = process.env.OCELLUS_ALL_GOLDENS === "1";
const SLOW_TEST_MS = 3_600_000;
const FEW = process.env.OCELLUS_ADAPTER === "system" ? ["text", "image-50x37"] : ["text"];
await testGoldens(
  "all",
  (name, folder) => isWhole || (folder === "hf-05b-like" && FEW.includes(name)),
  ADAPTERS["GPU, no subgroups"],
  SLOW_TEST_MS,
);
