/** Clips: from any input to the chosen frames. */
export { clipSize } from "./video/clip-size.js";
export * from "./video/video.js";
