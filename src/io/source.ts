/** Bytes: files, URLs and blobs by ranges, and copies of the caller's memory. */
export * from "./bytes/bytes.js";
export * from "./bytes/source.js";
