// Teaches the tiny checkpoint a kind of drawing that it does not know, and prints the exact match on fresh drawings before and after:
// in which corner of a picture a square is.
//
//   npm run build && node scripts/teach-corners.mjs [STEPS = 200] [DRAWINGS = 64]
import { fileURLToPath } from "node:url";
import { LlavaOneVision } from "../dist/index.js";

const [steps = 200, count = 64] = process.argv.slice(2).map(Number);
const CORNERS = ["top left", "top right", "bottom left", "bottom right"];

/** Drawing n of a series: a square of some colour and size near a corner, on some ground. */
function drawing(series, n) {
  let state = (series * 7919 + n * 104729 + 1) >>> 0;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
  const corner = n % CORNERS.length;
  const [side, margin] = [18 + Math.floor(random() * 26), Math.floor(random() * 14)];
  const ground = [200, 220, 240].map((value) => value - Math.floor(random() * 40));
  const colour = [0, 1, 2].map(() => Math.floor(random() * 160));
  const SIZE = 126;
  const data = new Uint8Array(SIZE * SIZE * 3);
  const first = (isFar) => (isFar ? SIZE - margin - side : margin);
  const [left, top] = [first(corner % 2 === 1), first(corner >= 2)];
  for (let y = 0; y < SIZE; y++) {
    for (let x = 0; x < SIZE; x++) {
      const isInside = x >= left && x < left + side && y >= top && y < top + side;
      data.set(isInside ? colour : ground, (y * SIZE + x) * 3);
    }
  }
  return {
    messages: [
      {
        role: "user",
        content: [
          { type: "image", image: { data, width: SIZE, height: SIZE } },
          { type: "text", text: "Which corner?" },
        ],
      },
      { role: "assistant", content: CORNERS[corner] },
    ],
  };
}

const series = (number) => Array.from({ length: count }, (_, n) => drawing(number, n));
const model = await LlavaOneVision.load(fileURLToPath(new URL("../models/tiny", import.meta.url)), {
  dtype: { projector: "f32" },
});
console.log(`adapter: ${model.device.facts.description}`);
const [taught, fresh] = [series(1), series(2)];

let right = 0;
for (const { messages } of fresh) {
  const session = model.createSession();
  const { text } = await session.generate(messages.slice(0, -1), { maxNewTokens: 16 }).result;
  right += Number(text.trim() === messages.at(-1).content);
  session.dispose();
}
console.log(`before: ${right} of ${count} fresh drawings right`);
const options = {
  train: ["lora", "projector"],
  steps,
  batch: 4,
  shuffle: true,
  learningRate: { lora: 2e-3, projector: 5e-4 },
};
const begun = performance.now();
for await (const step of model.train(taught, options)) {
  if (step.step % 20 === 0) console.log(`step ${step.step}: loss ${step.loss.toFixed(4)}`);
  if (step.step < steps) continue;
  console.log(`${steps} steps in ${((performance.now() - begun) / 1000).toFixed(0)} s`);
  const { exactMatch, loss } = await step.evaluate(fresh);
  console.log(`after: ${Math.round(exactMatch * count)} of ${count} fresh drawings right, loss ${loss.toFixed(4)}`);
}
model.dispose();
process.exit();
