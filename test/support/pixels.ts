/** Drawn pixels and hashes for the picture tests; the same in Node and in a browser. */
import type { Pixels } from "../../src/io/pictures/resize.js";

/** The picture of the test vectors: `v(x, y, c) = (3x² + 7y + 11xy + 50c) mod 256`. */
export function testPicture(width: number, height: number): Pixels {
  const data = new Uint8Array(width * height * 3);
  let at = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) data[at++] = 3 * x * x + 7 * y + 11 * x * y + 50 * c;
    }
  }
  return { width, height, data };
}

/** SHA-256 in lower-case hexadecimal digits. */
export async function sha256(data: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(data));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
