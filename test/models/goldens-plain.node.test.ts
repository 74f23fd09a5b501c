import { testGoldens } from "../support/goldens.js";

// The plain kernels: without subgroups, f16 and timestamps. SwiftShader would take minutes for the cases of many tiles.
const many = /1921x582|640x480|480x640|image-and-video/;
await testGoldens("none", (name) => process.env.OCELLUS_ADAPTER === "system" || !many.test(name));
