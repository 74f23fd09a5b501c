/** Hub checkpoints in the cache. */
export * from "./hub/hub-cached.js";
