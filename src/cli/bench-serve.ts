import { OptionError } from "../base/errors.js";
import { type LoadMeasurement, type LoadTarget, loadTarget, measureLoad } from "../bench/load.js";
import { LOAD_PREFIXES, LOAD_PROMPTS } from "../bench/load-requests.js";
import { loadHeader, loadRow, ratio } from "../bench/load-table.js";
import type { Arguments, Command } from "./command.js";
import type { Interruption } from "./interruption.js";
import { loadOptions, MODEL_OPTIONS } from "./model-options.js";
import { ProgressLine } from "./progress-line.js";
import { ServerChild } from "./server-child.js";
import { versionOf } from "./version.js";

/** Requests of a plan have numbers of their own from a multiple of this. */
const NUMBERS = 100_000;

/** Measures a server under load. */
export const benchServe: Command = {
  name: "bench serve",
  usage: "[URL] [options]",
  about: `Sends streamed chat completions from several clients at once, each of which waits for
its answer before the next (a closed loop), and prints tokens per second and times. Without
URL, a server is started for it; with one, any server of OpenAI's interface.`,
  options: {
    clients: { value: "LIST", help: "numbers of clients (1,2,4,8,16)" },
    prompts: { value: "LIST", help: "text, picture or both (text,picture)", offers: LOAD_PROMPTS },
    prefixes: { value: "LIST", help: "prompts that begin alike or not (shared,distinct)", offers: LOAD_PREFIXES },
    tokens: { value: "N", help: "tokens of each answer (64)" },
    seconds: { value: "N", help: "least duration of each measurement (10)" },
    json: { help: "one JSON line per measurement" },
    ...MODEL_OPTIONS,
    parallel: { value: "N", help: "of the server that is started: requests processed concurrently", rare: true },
  },
  mostPositionals: 1,
  examples: [
    "ocellus bench serve --model org/name --dtype q4",
    "ocellus bench serve http://127.0.0.1:8080 --clients 1,8 --prompts text --json",
  ],
  notes: `Each measurement begins with a short answer for every client, which is not counted. "× one"
is relative to one client, or the first of --clients. Times are p50 / p95 / p99. "cached" is the share of
the prompts' tokens that the server did not compute again. OCELLUS_API_KEY has the key of a server.`,
  run: measureAll,
};

async function measureAll(given: Arguments, interruption: Interruption): Promise<void> {
  const { signal } = interruption;
  const clients = listOf(given, "clients", "1,2,4,8,16").map((text) => numberOf(given, "clients", text));
  const prompts = listOf(given, "prompts", "text,picture").map((text) => oneOf(given, "prompts", text, LOAD_PROMPTS));
  const prefixes = listOf(given, "prefixes", "shared,distinct").map((text) =>
    oneOf(given, "prefixes", text, LOAD_PREFIXES),
  );
  const tokens = given.count("tokens") ?? 64;
  const seconds = given.positive("seconds") ?? 10;
  const [address] = given.positionals;
  const own = serverOptions(given);
  if (address !== undefined && own.length > 0) {
    throw new OptionError({
      where: given.where,
      expected: "options of a server only where one is started",
      got: `${own[0]} beside ${address}`,
      remedy: "leave out the one or the other",
    });
  }
  const progress = new ProgressLine(process.stderr);
  if (address === undefined) progress.text("starting a server");
  const server = address === undefined ? await ServerChild.start(own, signal) : undefined;
  try {
    const target = await loadTarget(server?.url ?? address!, server ? undefined : process.env.OCELLUS_API_KEY);
    progress.clear();
    const output = given.has("json") ? new Lines(target) : new Table(target);
    let plans = 0;
    for (const prompt of prompts) {
      for (const prefix of prefixes) {
        let one: LoadMeasurement | undefined;
        for (const count of clients) {
          progress.text(`${prompt}, ${prefix}, ${count} clients`);
          const plan = { prompt, prefix, clients: count, tokens, seconds, first: plans++ * NUMBERS };
          const measured = await measureLoad(target, plan, signal);
          one ??= measured;
          progress.clear();
          output.say(measured, one);
        }
      }
    }
  } finally {
    progress.clear();
    await server?.stop();
  }
}

/** The options for `ocellus serve`, checked here. */
function serverOptions(given: Arguments): string[] {
  loadOptions(given);
  given.count("parallel");
  return given.ordered
    .filter(({ name }) => name in MODEL_OPTIONS || name === "parallel")
    .flatMap(({ name, value }) => (value === undefined ? [`--${name}`] : [`--${name}`, value]));
}

function listOf(given: Arguments, name: string, otherwise: string): string[] {
  return (given.value(name) ?? otherwise).split(",").map((text) => text.trim());
}

function numberOf(given: Arguments, name: string, text: string): number {
  const number = Number(text);
  if (text !== "" && Number.isSafeInteger(number) && number >= 1) return number;
  throw new OptionError({
    where: `${given.where}, --${name}`,
    expected: "whole numbers above 0 between commas",
    got: text,
    remedy: "give for example 1,8",
  });
}

function oneOf<T extends string>(given: Arguments, name: string, text: string, known: readonly T[]): T {
  const found = known.find((one) => one === text);
  if (found !== undefined) return found;
  throw new OptionError({
    where: `${given.where}, --${name}`,
    expected: `${known.join(" or ")}, or both between commas`,
    got: text,
    remedy: `leave it out for ${known.join(",")}`,
  });
}

/** Human-readable output. */
class Table {
  constructor({ model, url }: LoadTarget) {
    process.stdout.write(`${model} at ${url}\n\n${loadHeader()}\n`);
  }

  say(measured: LoadMeasurement, one: LoadMeasurement): void {
    process.stdout.write(`${loadRow(measured, one)}\n`);
  }
}

/** JSON Lines output. */
class Lines {
  readonly #about: object;

  constructor({ model, url }: LoadTarget) {
    this.#about = { model, url, ocellus: versionOf("../../package.json"), date: new Date().toISOString() };
  }

  say(measured: LoadMeasurement, one: LoadMeasurement): void {
    const line = { name: "serve", ...measured, timesOneClient: ratio(measured, one), ...this.#about };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }
}
