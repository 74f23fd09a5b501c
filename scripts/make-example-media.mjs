// Makes the drawn and cut media of the page's examples for full models (demo/examples): node scripts/make-example-media.mjs
import { fileURLToPath } from "node:url";
import sharp from "sharp";

const folder = new URL("../demo/examples/", import.meta.url);
const path = (name) => fileURLToPath(new URL(name, folder));
const drawn = (svg, name) => sharp(Buffer.from(svg)).png({ palette: true, colours: 32 }).toFile(path(name));
const text = (x, y, content, more = "") => `<text x="${x}" y="${y}" ${more}>${content}</text>`;
const STYLE = `font-family="DejaVu Sans, Verdana, sans-serif" font-size="18" fill="#1d2430"`;

// A bar chart and a table: memory for the weights of the published checkpoints, as in the README.
const bars = [
  ["f16", 1.8],
  ["q8", 0.95],
  ["q4", 0.56],
];
await drawn(
  `<svg xmlns="http://www.w3.org/2000/svg" width="640" height="420" ${STYLE}><rect width="640" height="420" fill="#fff"/>
  ${text(320, 36, "Weights of the 0.5B checkpoint", 'text-anchor="middle" font-weight="bold" font-size="22"')}
  <path d="M90 70V360H600" fill="none" stroke="#444"/>
  ${[0, 0.5, 1, 1.5, 2].map((v) => text(80, 366 - v * 140, v.toFixed(1), 'text-anchor="end"')).join("")}
  ${bars.map(([name, gb], i) => `<rect x="${130 + 160 * i}" y="${360 - gb * 140}" width="100" height="${gb * 140}" fill="${["#245cc7", "#2c9f5b", "#e07b1a"][i]}"/>${text(180 + 160 * i, 388, name, 'text-anchor="middle"')}${text(180 + 160 * i, 350 - gb * 140, `${gb} GB`, 'text-anchor="middle"')}`).join("")}
  ${text(350, 412, "Storage type", 'text-anchor="middle" font-size="15"')}</svg>`,
  "chart.png",
);
const rows = [
  ["Checkpoint", "Download", "f16", "q8", "q4"],
  ["0.5B", "1.8 GB", "1.8 GB", "0.95 GB", "0.56 GB"],
  ["7B", "16 GB", "16 GB", "8.5 GB", "5.0 GB"],
  ["72B", "146 GB", "146 GB", "78 GB", "46 GB"],
];
await drawn(
  `<svg xmlns="http://www.w3.org/2000/svg" width="660" height="220" ${STYLE}><rect width="660" height="220" fill="#fff"/>
  ${rows.map((cells, r) => cells.map((cell, c) => `<rect x="${10 + 128 * c}" y="${10 + 50 * r}" width="128" height="50" fill="${r === 0 ? "#e3ebfa" : "#fff"}" stroke="#8a94a6"/>${text(74 + 128 * c, 41 + 50 * r, cell, `text-anchor="middle"${r === 0 || c === 0 ? ' font-weight="bold"' : ""}`)}`).join("")).join("")}</svg>`,
  "table.png",
);

// Numbered marks on a photograph, as the page draws them.
const marks = [
  [172, 385],
  [40, 210],
  [418, 105],
  [395, 430],
].map(
  ([x, y], i) =>
    `<rect x="${x - 16}" y="${y - 20}" width="32" height="40" fill="#fff" stroke="#000"/>${text(x, y + 12, i + 1, 'text-anchor="middle" font-weight="bold" font-size="34" fill="#000"')}`,
);
await sharp(path("astronaut.jpg"))
  .composite([
    {
      input: Buffer.from(
        `<svg xmlns="http://www.w3.org/2000/svg" width="512" height="512" ${STYLE}>${marks.join("")}</svg>`,
      ),
    },
  ])
  .webp({ quality: 75 })
  .toFile(path("astronaut-marks.webp"));

// Three cameras: parts of one photograph.
const coffee = path("coffee.jpg");
const { width, height } = await sharp(coffee).metadata();
for (const [i, [x, y]] of [
  [0, 0.1],
  [0.3, 0.3],
  [0.55, 0],
].entries()) {
  const [left, top, side] = [Math.round(x * width), Math.round(y * height), Math.round(0.62 * height)];
  await sharp(coffee)
    .extract({ left, top, width: side, height: side })
    .resize(240, 240)
    .webp({ quality: 72 })
    .toFile(path(`camera-${i + 1}.webp`));
}

// Clips: the camera moves over a photograph.
async function clip(photo, name, viewAt) {
  const { width, height } = await sharp(path(photo)).metadata();
  const frames = await Promise.all(
    Array.from({ length: 12 }, (_, i) => {
      const { x, y, share } = viewAt(i / 11);
      const [w, h] = [Math.round(share * width), Math.round(share * height)];
      const [left, top] = [Math.round(x * (width - w)), Math.round(y * (height - h))];
      return sharp(path(photo)).extract({ left, top, width: w, height: h }).resize(288, 192).png().toBuffer();
    }),
  );
  await sharp(frames, { join: { animated: true } })
    .webp({ quality: 60, delay: frames.map(() => 250), loop: 0 })
    .toFile(path(name));
}
await clip("cat.jpg", "closer.webp", (t) => ({ x: 0.5, y: 0.45, share: 1 - 0.5 * t }));
await clip("coffee.jpg", "along.webp", (t) => ({ x: t, y: 0.5, share: 0.55 }));
