/** Pictures: from any input to pixels, and from pixels to tiles. */
export * from "./pictures/anyres.js";
export type { Picture } from "./pictures/image.js";
export { inspectPicture } from "./pictures/inspect-picture.js";
export * from "./pictures/picture-input.js";
export { pictureSize } from "./pictures/picture-size.js";
