// Sequences of the embedded checkpoint that join, are aborted, stopped and cloned at random steps; checks that every answer that ends has
// the tokens that it has alone, and that the device has its memory back. Run `npm run build` before.
//
//   node scripts/join-and-leave.mjs [COUNT] [SEED]
import { LlavaOneVision } from "../dist/index.js";

const count = Number(process.argv[2] ?? 1000);
let state = Number(process.argv[3] ?? 1);
/** A pseudo-random number below `n`. */
const below = (n) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * n);
};

const MOST_AT_ONCE = 12;
const QUESTIONS = ["What do you see?", "Which shape is orange?", "Name a colour.", "How many?", "Is it large?"];
const OPTIONS = [
  { maxNewTokens: 24, minNewTokens: 24 },
  { maxNewTokens: 32 },
  { maxNewTokens: 20, minNewTokens: 20, temperature: 1, seed: 5 },
  { maxNewTokens: 20, minNewTokens: 20, temperature: 0.8, topK: 20, seed: 6, repetitionPenalty: 1.2 },
  { maxNewTokens: 16, regex: "[a-z]{4} [0-9]{2}" },
  { maxNewTokens: 12, minNewTokens: 12, logprobs: true },
];
const folder = new URL("../models/tiny", import.meta.url).pathname;
const model = await LlavaOneVision.load(folder);
const weights = model.device.pool.liveBytes;

/** Tokens of a question alone. */
const alone = new Map();
for (const question of QUESTIONS) {
  for (const [i, options] of OPTIONS.entries()) {
    const session = model.createSession();
    alone.set(`${i} ${question}`, String((await session.generate(question, options).result).tokens));
    session.dispose();
  }
}
const counts = { whole: 0, aborted: 0, stopped: 0, cloned: 0 };

async function run() {
  const [question, i] = [QUESTIONS[below(QUESTIONS.length)], below(OPTIONS.length)];
  const end = ["whole", "whole", "aborted", "stopped", "cloned"][below(5)];
  const at = 1 + below(10);
  const abort = new AbortController();
  const session = model.createSession();
  const sessions = [session];
  let fork;
  const truth = alone.get(`${i} ${question}`);
  try {
    const answer = session.generate(question, {
      ...OPTIONS[i],
      signal: abort.signal,
      onProgress: ({ stage, done }) => {
        if (stage !== "decode" || done !== at) return;
        if (end === "aborted") abort.abort();
        if (end === "stopped") answer.stop();
        if (end === "cloned") {
          const clone = session.clone();
          sessions.push(clone);
          fork = clone.generate(question, OPTIONS[i]).result;
        }
      },
    });
    const { tokens } = await answer.result.catch((error) => {
      if (error.code !== "ABORTED") throw error;
      return { tokens: undefined };
    });
    const others = fork ? [String((await fork).tokens)] : [];
    if (tokens && end === "stopped") check(truth.startsWith(String(tokens)), `${question} ${i}, stopped: ${tokens}`);
    else if (tokens) check(String(tokens) === truth, `${question} ${i}: ${tokens}, wanted ${truth}`);
    for (const other of others) check(other === truth, `a clone, ${question} ${i}: ${other}, wanted ${truth}`);
    counts[end]++;
  } finally {
    for (const each of sessions) each.dispose();
  }
}

function check(holds, message) {
  if (!holds) throw new Error(message);
}

let left = count;
await Promise.all(
  Array.from({ length: MOST_AT_ONCE }, async () => {
    while (left-- > 0) {
      await run();
      // Joins at another step than the others.
      if (below(3) === 0) await new Promise((resolve) => setTimeout(resolve, below(30)));
    }
  }),
);
await model.device.sync();
check(model.device.pool.liveBytes === weights, `${model.device.pool.liveBytes - weights} bytes were not given back`);
console.log(`${count} sequences: ${JSON.stringify(counts)}`);
model.dispose();
process.exit(0);
