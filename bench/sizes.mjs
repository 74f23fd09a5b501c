// The tables of docs/sizes.md: the 7B and 72B models within budgets of memory, simulated on a GPU that counts. Needs no adapter and no
// checkpoint, and takes some seconds.
//
//   node bench/sizes.mjs
//
// Run `npm run build` before.
import { sizeTables } from "../dist/bench/model-sizes.js";

process.stdout.write(sizeTables());
