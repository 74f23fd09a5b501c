import { platform } from "#platform";
import { testGoldens } from "../support/goldens.js";

/** Elsewhere than on Node's SwiftShader a case of each kind: Chromium's runs on one core, and lavapipe compiles slowly. */
const OF_EACH_KIND = ["text", "image-423x47", "two-images", "image-and-video"];

const isWhole = platform.name === "node" && process.env.OCELLUS_ADAPTER === "swiftshader";
await testGoldens("all", (name) => isWhole || OF_EACH_KIND.includes(name));
