/** Clips: from any input to the chosen frames. */
export * from "./video/video.js";
