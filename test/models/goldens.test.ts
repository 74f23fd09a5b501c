import { platform } from "#platform";
import { testGoldens } from "../support/goldens.js";

/**
 * On SwiftShader, which does three billion multiply-adds a second, a case of each kind; in Chromium, on the same SwiftShader, three of
 * one checkpoint. The large pictures take minutes there: lavapipe, ten times as fast, computes every case.
 */
const OF_EACH_KIND = ["text", "text-long", "image-423x47", "two-images", "image-and-video", "two-turns"];

const IN_CHROMIUM = ["text", "image-423x47", "two-turns"];

const isWhole = platform.name === "node" && process.env.OCELLUS_ADAPTER === "system";
const isOnce = platform.name === "browser";
await testGoldens("all", (name, folder) => {
  if (isWhole) return true;
  return isOnce ? folder === "hf-05b-like" && IN_CHROMIUM.includes(name) : OF_EACH_KIND.includes(name);
});
