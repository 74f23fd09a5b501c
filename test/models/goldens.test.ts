import { platform } from "#platform";
import { testGoldens } from "../support/goldens.js";

/** Chromium's SwiftShader runs on one core: there a case of each kind. */
const OF_EACH_KIND = ["text", "image-423x47", "two-images", "image-and-video"];

await testGoldens("all", (name) => platform.name === "node" || OF_EACH_KIND.includes(name));
