/** Clips: from any input to the chosen frames. */
export { clipSize } from "./video/clip-size.js";
export { DEFAULT_FRAMES } from "./video/frame-choice.js";
export * from "./video/video.js";
