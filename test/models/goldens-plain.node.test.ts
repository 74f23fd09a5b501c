import { testGoldens } from "../support/goldens.js";

// The plain kernels: without subgroups, f16 and timestamps. A text and a picture: with many tiles they would take minutes.
await testGoldens("none", (name) => ["text", "image-50x37"].includes(name));
