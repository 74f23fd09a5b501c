import { platform } from "#platform";
import { testGoldens } from "../support/goldens.js";

/**
 * On SwiftShader, which does three billion multiply-adds a second, a case of each kind for one checkpoint and three for the others; in
 * Chromium, on the same SwiftShader, three of one. The large pictures take minutes there: lavapipe, ten times as fast, computes every
 * case.
 */
const FIRST = "hf-05b-like";
const OF_EACH_KIND = ["text", "text-long", "image-423x47", "two-images", "image-and-video", "two-turns"];
const OF_OTHERS = ["text", "image-423x47", "two-turns"];

const isWhole = platform.name === "node" && process.env.OCELLUS_ADAPTER === "system";
const isOnce = platform.name === "browser";
await testGoldens("all", (name, folder) => {
  if (isWhole) return true;
  if (folder !== FIRST) return !isOnce && OF_OTHERS.includes(name);
  return (isOnce ? OF_OTHERS : OF_EACH_KIND).includes(name);
});
