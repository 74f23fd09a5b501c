import { testGoldens } from "../support/goldens.js";

await testGoldens("all");
