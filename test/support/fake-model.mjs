// A model's process without a model, for tests of its supervisor: what a message says is done, or echoed word by word.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { Answer } from "../../dist/models/chat/answer.js";
import { runModelProcess } from "../../dist/server/model-process.js";

/** Milliseconds between words. */
const WORD_MS = 10;

let lose;
const lost = new Promise((resolve) => {
  lose = resolve;
});
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Kills this process at most `times` times, counted in a file. */
function die(file, times) {
  const deaths = existsSync(file) ? Number(readFileSync(file, "utf8")) : 0;
  if (deaths >= times) return;
  writeFileSync(file, String(deaths + 1));
  process.kill(process.pid, "SIGKILL");
  for (;;);
}

const DEEDS = {
  die: (file, times) => die(file, Number(times)),
  block: () => {
    for (;;);
  },
  lose: () => lose("its GPU device was lost: on request"),
  fail: (secret) => {
    throw new Error(`a secret: ${secret}`);
  },
  crash: () => setTimeout(() => Promise.reject(new Error("a secret in flight")), 0),
};

/** A text like `one two {die FILE 1} three`. */
async function answer(text, emit, signal) {
  const words = text.match(/\{[^}]*\}|[^\s{}]+/g) ?? [];
  let said = "";
  for (const word of words) {
    await sleep(WORD_MS);
    if (signal.aborted) throw signal.reason;
    const [deed, ...operands] = word.startsWith("{") ? word.slice(1, -1).split(" ") : [];
    if (deed !== undefined) {
      await sleep(WORD_MS);
      await DEEDS[deed](...operands);
      continue;
    }
    said += `${word} `;
    emit({ text: `${word} `, token: 1 });
  }
  const usage = {
    promptTokens: words.length,
    reusedTokens: 0,
    completionTokens: words.length,
    totalTokens: 2 * words.length,
  };
  const timings = { preprocess: 0, vision: 0, prefill: 0, decode: 0, total: 0 };
  return { text: said, tokens: words.map(() => 1), promptTokens: [], finishReason: "stop", usage, timings };
}

const session = () => ({
  generate: (messages, { signal, onProgress }) => {
    const { content } = messages.at(-1);
    const text = typeof content === "string" ? content : content.map((part) => part.text).join(" ");
    setTimeout(() => onProgress?.({}), WORD_MS / 2);
    return Answer.start(
      ({ emit }) => answer(text, emit, signal),
      () => {},
    );
  },
  reset: () => {},
  clone: session,
  dispose: () => {},
});

runModelProcess(
  async ({ failing, slowMs = 0 }) => {
    await sleep(slowMs);
    if (failing !== undefined && existsSync(failing)) throw new Error("no model here");
    const memory = () => ({ gpuBytes: 7, usedBlocks: 3, sharedBlocks: 2, preemptions: 1 });
    return { model: { createSession: session }, name: "fake", adapter: "none", memory, lost };
  },
  (error) => ({ status: 3, text: `ocellus: ${error.message}\n` }),
);
