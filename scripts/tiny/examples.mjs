// Draws the embedded checkpoint's examples anew: for each, the first drawing of its kind and size whose questions it all answers right.
//
//   node scripts/tiny/examples.mjs [--python PYTHON] [--out FOLDER] [NAME…]
//
// Writes the pictures, the clips (with PyAV), and plan.json: kind, files, questions and right answers. Run `npm run build` before.
import { execFileSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { freshDrawing } from "../../dist/drawings.js";
import { LlavaOneVision } from "../../dist/index.js";
import { picture } from "./picture.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    python: { type: "string", default: "python3" },
    out: { type: "string", default: here("../../models/tiny/examples") },
    model: { type: "string", default: here("../../models/tiny") },
  },
});

/** Name, kind, least size, and what the drawing must have besides. */
const EXAMPLES = [
  { name: "00-shapes", kind: "shapes", most: [126, 126] },
  { name: "01-shapes", kind: "shapes", least: [180, 90], says: "star" },
  { name: "02-number", kind: "number", least: [180, 90], says: "number is 8" },
  { name: "03-number", kind: "number", most: [126, 126] },
  { name: "04-chart", kind: "chart", most: [126, 126], says: "four bars" },
  { name: "05-chart", kind: "chart", least: [180, 180] },
  { name: "06-table", kind: "table", most: [126, 126], asks: "Describe the image." },
  { name: "07-marks", kind: "marks", most: [126, 126], asks: "mark 3" },
  { name: "08-marks", kind: "marks", least: [180, 90] },
  { name: "09-pair", kind: "pair", says: "changed from" },
  { name: "10-pair", kind: "pair", says: "moved" },
  { name: "11-gallery", kind: "gallery", asks: "most shapes" },
  { name: "12-clip", kind: "clip", frames: 8, says: "turns from" },
  { name: "13-clip", kind: "clip", says: "A black circle appears." },
  { name: "14-clip", kind: "clip", says: "moves" },
  { name: "15-screenshots", kind: "screenshots" },
  { name: "16-cameras", kind: "cameras", says: "Camera 1: a" },
  { name: "17-clips", kind: "clips" },
  { name: "18-shapes", kind: "shapes", most: [126, 126], says: "There are two shapes." },
];
const TRIED = 2000;
const FIRST_SEED = 5_000_000;

function fits({ most, least, frames, asks, says }, { pictures, clips, turns }) {
  const inside = ([width, height]) => pictures.every((p) => p.width <= width && p.height <= height);
  const beyond = ([width, height]) => pictures.every((p) => p.width >= width && p.height >= height);
  return (
    (!most || inside(most)) &&
    (!least || beyond(least)) &&
    (!frames || clips[0].length === frames) &&
    (!asks || turns.some(({ question }) => question.includes(asks))) &&
    (!says || turns.some(({ answer }) => answer.includes(says)))
  );
}

async function writeMedia(name, { pictures, clips }) {
  const media = clips.length > 0 ? clips : pictures;
  const files = media.map(
    (_, i) => `${name}${media.length > 1 ? `-${i + 1}` : ""}.${clips.length > 0 ? "mp4" : "png"}`,
  );
  for (const [i, file] of files.entries()) {
    const path = `${values.out}/${file}`;
    if (clips.length === 0) {
      await picture(media[i]).png({ compressionLevel: 9 }).toFile(path);
      continue;
    }
    const [{ width, height }] = media[i];
    // H.264 in 4:2:0 has even sizes.
    const even = { width: width - (width % 2), height: height - (height % 2), left: 0, top: 0 };
    const frames = await Promise.all(media[i].map((frame) => picture(frame).extract(even).raw().toBuffer()));
    const args = [here("encode.py"), String(even.width), String(even.height), path];
    execFileSync(values.python, args, { input: Buffer.concat(frames) });
  }
  return files;
}

const model = await LlavaOneVision.load(values.model);

async function answersRight(files, frames, turns) {
  const parts = [];
  for (const file of files) {
    const bytes = await readFile(`${values.out}/${file}`);
    parts.push(frames ? { type: "video", video: bytes, frames } : { type: "image", image: bytes });
  }
  for (const { question, answer } of turns) {
    const session = model.createSession();
    const { text } = await session.generate([...parts, { type: "text", text: question }]).result;
    session.dispose();
    if (text !== answer) return false;
  }
  return true;
}

const plan = [];
for (const example of EXAMPLES.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
  for (let seed = FIRST_SEED; ; seed++) {
    if (seed === FIRST_SEED + TRIED) throw new Error(`no drawing for ${example.name} among ${TRIED}`);
    const drawing = freshDrawing(example.kind, seed);
    if (!fits(example, drawing)) continue;
    const files = await writeMedia(example.name, drawing);
    const frames = drawing.clips[0]?.length ?? null;
    if (!(await answersRight(files, frames, drawing.turns))) continue;
    const turns = drawing.turns.map(({ question, answer }) => [question, answer]);
    plan.push({ kind: example.kind, files, video: frames !== null, frames, turns });
    console.log(example.name, seed, turns.map(([question, answer]) => `${question} ${answer}`).join(" | "));
    break;
  }
}
await writeFile(`${values.out}/plan.json`, JSON.stringify({ examples: plan }, null, 2));
model.dispose();
