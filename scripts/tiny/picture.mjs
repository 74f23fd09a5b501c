import sharp from "sharp";

/** A painted drawing as a picture without alpha, which sharp encodes. */
export const picture = ({ data, width, height }) => sharp(data, { raw: { width, height, channels: 4 } }).removeAlpha();
