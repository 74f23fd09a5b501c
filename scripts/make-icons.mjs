// Renders the page's icon (demo/public/icon.svg) as PNG files for installed pages: node scripts/make-icons.mjs
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import sharp from "sharp";

const folder = new URL("../demo/public/", import.meta.url);
const svg = await readFile(new URL("icon.svg", folder));
const BACKGROUND = "#245cc7";

for (const size of [192, 512]) {
  const icon = sharp(svg, { density: (72 * size) / 64 }).resize(size, size);
  await icon.png({ palette: true }).toFile(fileURLToPath(new URL(`icon-${size}.png`, folder)));
}
// Systems cut a maskable icon to a circle or another shape: the middle four fifths stay.
const inner = await sharp(svg, { density: 576 }).resize(410, 410).toBuffer();
const maskable = sharp({ create: { width: 512, height: 512, channels: 4, background: BACKGROUND } });
await maskable
  .composite([{ input: inner, gravity: "centre" }])
  .png({ palette: true })
  .toFile(fileURLToPath(new URL("icon-maskable-512.png", folder)));
