// The last stage of the embedded checkpoint's training, by Ocellus: a checkpoint goes on learning from fresh drawings with `ocellus train`.
//
//   node scripts/tiny/finish.mjs OUT [--from FOLDER] [--steps 40] [--batch 8] [--lr 1e-5] [--seed 5000000] [KIND=WEIGHT…]
//
// Writes the drawings and their questions to OUT/data, and the checkpoint in f32 to OUT/f32. Run `npm run build` before.
import { spawnSync } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { freshDrawing } from "../../dist/drawings.js";
import { picture } from "./picture.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    from: { type: "string", default: here("../../models/tiny") },
    steps: { type: "string", default: "40" },
    batch: { type: "string", default: "8" },
    lr: { type: "string", default: "1e-5" },
    seed: { type: "string", default: "5000000" },
  },
});
const [out, ...given] = positionals;
if (!out) throw new Error("OUT is missing");
/** Kinds of pictures whose questions are looked up, which is learnt last. */
const weights = given.length > 0 ? given : ["shapes=3", "pair=3", "marks=2", "gallery=1", "table=1"];
const kinds = weights.flatMap((entry) => Array(Number(entry.split("=")[1])).fill(entry.split("=")[0]));
const count = Number(values.steps) * Number(values.batch);

await rm(join(out, "data"), { recursive: true, force: true });
await mkdir(join(out, "data"), { recursive: true });
const records = [];
for (let i = 0; i < count; i++) {
  const seed = Number(values.seed) + i;
  const { pictures, turns } = freshDrawing(kinds[i % kinds.length], seed);
  const { question, answer } = turns[seed % turns.length];
  const images = [];
  for (const [k, painted] of pictures.entries()) {
    const name = `${seed}-${k}.png`;
    await picture(painted)
      .png()
      .toFile(join(out, "data", name));
    images.push({ type: "image", image: name });
  }
  const content = [...images, { type: "text", text: question }];
  const messages = [
    { role: "user", content },
    { role: "assistant", content: answer },
  ];
  records.push(JSON.stringify({ messages }));
}
const data = join(out, "data/records.jsonl");
await writeFile(data, `${records.join("\n")}\n`);

function ocellus(...args) {
  const { status } = spawnSync(process.execPath, [here("../../dist/cli/main.js"), ...args], { stdio: "inherit" });
  if (status !== 0) throw new Error(`ocellus ${args[0]}: status ${status}`);
}
const { from, steps, batch, lr } = values;
const rates = ["--lr", lr, "--schedule", "cosine", "--clip", "1"];
const what = ["--train", "language", "--dtype", "f32", "--steps", steps, "--batch", batch, "--shuffle"];
ocellus("train", data, "--model", from, ...what, ...rates, "--out", join(out, "f32"), "--force");
