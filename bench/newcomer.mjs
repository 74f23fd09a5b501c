// Time to first token of a client alone, and among 7 others whose answers stream, on `ocellus serve` with the embedded checkpoint:
//
//   node bench/newcomer.mjs 5 text,picture --prefill-ms 20   # rounds, prompts, options of the server
//
// Rounds alternate; medians are printed. Run `npm run build` before; OCELLUS_ADAPTER chooses the adapter.
import { events, loadTarget } from "../dist/bench/load.js";
import { loadRequest } from "../dist/bench/load-requests.js";
import { ServerChild } from "../dist/cli/server-child.js";

const [rounds = "5", prompts = "text,picture", ...options] = process.argv.slice(2);
const OTHERS = 7;
/** Tokens of the others' answers: they outlast a round. */
const LONG = 500;

const server = await ServerChild.start(options, new AbortController().signal);
const { url, model } = await loadTarget(server.url);
let number = 0;

/** Sends a request and calls `onPiece` with every piece of the answer; ends early when the signal fires. */
async function ask(prompt, tokens, onPiece, signal) {
  const body = await loadRequest({ prompt, prefix: "distinct" }, number++, tokens);
  try {
    const response = await fetch(`${url}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model, ...body }),
      signal,
    });
    if (!response.ok) throw new Error(await response.text());
    for await (const { error, choices } of events(response.body)) {
      if (error) throw new Error(JSON.stringify(error));
      if (choices?.[0]?.delta?.content) onPiece();
    }
  } catch (error) {
    if (!signal?.aborted) throw error;
  }
}

/** Milliseconds to the first token of a short answer. */
async function firstToken(prompt) {
  const begun = performance.now();
  let first;
  await ask(prompt, 4, () => {
    first ??= performance.now() - begun;
  });
  return first;
}

/** Runs `work` while others stream. */
async function amongOthers(work) {
  const over = new AbortController();
  let streaming = 0;
  let begin;
  const begun = new Promise((resolve) => {
    begin = resolve;
  });
  const other = async () => {
    let pieces = 0;
    const count = () => {
      if (++pieces === 3 && ++streaming === OTHERS) begin();
    };
    while (!over.signal.aborted) await ask("text", LONG, count, over.signal);
  };
  const others = Array.from({ length: OTHERS }, other);
  await begun;
  const result = await work();
  over.abort();
  await Promise.all(others);
  return result;
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

try {
  for (const prompt of prompts.split(",")) {
    const [alone, among] = [[], []];
    // The first round compiles.
    for (let round = 0; round <= Number(rounds); round++) {
      const ms = [await firstToken(prompt), await amongOthers(() => firstToken(prompt))];
      if (round === 0) continue;
      alone.push(ms[0]);
      among.push(ms[1]);
    }
    const [one, all] = [median(alone), median(among)];
    console.log(
      `${prompt}: ${one.toFixed(0)} ms alone, ${all.toFixed(0)} ms among ${OTHERS}, × ${(all / one).toFixed(2)}`,
    );
  }
} finally {
  await server.stop();
}
