// Teaches the embedded checkpoint a kind of drawings that it does not know, and measures exact match on fresh ones before and after:
//
//   node bench/teach-traffic-lights.mjs [STEPS] [--train lora|projector|lora,projector] [--lr 2e-3] [--rank 16] [--batch 4] [--dtype f16|f32]
//
// 64 labelled drawings of traffic lights to learn from, 64 others to test with. Prints losses, and a line of JSON. Run `npm run build` before.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { trafficLightDrawing } from "../dist/drawings.js";
import { LlavaOneVision } from "../dist/index.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    train: { type: "string", default: "lora" },
    lr: { type: "string", default: "2e-3" },
    rank: { type: "string", default: "16" },
    batch: { type: "string", default: "4" },
    dtype: { type: "string", default: "f16" },
    model: { type: "string", default: fileURLToPath(new URL("../models/tiny", import.meta.url)) },
  },
});
const steps = Number(positionals[0] ?? 200);
const COUNT = 64;
const TEST_SEED = 1_000_000;

function record(seed) {
  const { pictures, turns } = trafficLightDrawing(seed);
  const [{ question, answer }] = turns;
  const content = [
    { type: "image", image: pictures[0] },
    { type: "text", text: question },
  ];
  return {
    messages: [
      { role: "user", content },
      { role: "assistant", content: answer },
    ],
  };
}
const records = (first) => Array.from({ length: COUNT }, (_, i) => record(first + i));

const model = await LlavaOneVision.load(values.model, { dtype: values.dtype });
const fresh = records(TEST_SEED);

async function rightAnswers(adapters) {
  let right = 0;
  for (const { messages } of fresh) {
    const session = model.createSession({ adapters });
    const { text } = await session.generate(messages.slice(0, 1), { maxNewTokens: 24 }).result;
    session.dispose();
    right += Number(text === messages[1].content);
  }
  return right;
}

const before = await rightAnswers([]);
console.log(`${model.device.facts.name}: ${before} of ${COUNT} right before`);
const options = {
  train: values.train.split(","),
  steps,
  batch: Number(values.batch),
  learningRate: Number(values.lr),
  lora: { rank: Number(values.rank) },
  shuffle: true,
};
const losses = [];
let adapter;
const begun = performance.now();
for await (const step of model.train(records(0), options)) {
  losses.push(step.loss);
  adapter = step.adapter;
  if (step.step % 20 === 0) {
    const recent = losses.slice(-20);
    console.log(`step ${step.step}: loss ${(recent.reduce((sum, loss) => sum + loss, 0) / recent.length).toFixed(4)}`);
  }
}
const seconds = Math.round((performance.now() - begun) / 100) / 10;
const after = await rightAnswers(adapter === undefined ? [] : [adapter]);
console.log(JSON.stringify({ ...values, model: undefined, steps, of: COUNT, before, after, seconds }));
model.dispose();
