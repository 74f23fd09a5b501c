// How often the embedded checkpoint answers questions about fresh drawings right, whole answers, by kind:
//
//   node scripts/tiny/accuracy.mjs                                   # 200 drawings of each kind, seeds from 1000000
//   node scripts/tiny/accuracy.mjs --drawings 50 --seed 7 marks pair
//   node scripts/tiny/accuracy.mjs --model FOLDER --wrong            # another checkpoint; prints what it got wrong
//
// Asks one question about each drawing, chosen by its seed. Run `npm run build` before.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { freshDrawing, KINDS } from "../../dist/drawings.js";
import { LlavaOneVision } from "../../dist/index.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    drawings: { type: "string", default: "200" },
    seed: { type: "string", default: "1000000" },
    model: { type: "string", default: fileURLToPath(new URL("../../models/tiny", import.meta.url)) },
    wrong: { type: "boolean" },
  },
});
const count = Number(values.drawings);
const model = await LlavaOneVision.load(values.model);
console.log(`${model.device.facts.name}; ${count} drawings a kind, seeds from ${values.seed}`);
for (const kind of positionals.length > 0 ? positionals : KINDS) {
  let right = 0;
  for (let i = 0; i < count; i++) {
    const seed = Number(values.seed) + i;
    const { pictures, clips, turns } = freshDrawing(kind, seed);
    const { question, answer } = turns[seed % turns.length];
    const session = model.createSession();
    const { text } = await session.generate(
      [
        ...pictures.map((image) => ({ type: "image", image })),
        ...clips.map((video) => ({ type: "video", video, frames: video.length })),
        { type: "text", text: question },
      ],
      { maxNewTokens: 100 },
    ).result;
    session.dispose();
    if (text === answer) right++;
    else if (values.wrong) console.log(`  ${kind} ${seed}: ${question} ${text} (${answer})`);
  }
  console.log(`${kind.padEnd(12)} ${((100 * right) / count).toFixed(1).padStart(5)} %   ${right} of ${count}`);
}
model.dispose();
