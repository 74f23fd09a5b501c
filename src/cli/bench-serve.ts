import { OptionError } from "../base/errors.js";
import { type LoadMeasurement, type LoadTarget, loadTarget, measureLoad } from "../bench/load.js";
import { LOAD_PREFIXES, LOAD_PROMPTS } from "../bench/load-requests.js";
import { loadHeader, loadRow, ratio } from "../bench/load-table.js";
import type { Arguments, Command } from "./command.js";
import type { Interruption } from "./interruption.js";
import { loadOptions, MODEL_OPTIONS } from "./model-options.js";
import { ProgressLine } from "./progress-line.js";
import { serve } from "./serve.js";
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
    compare: { help: "also a server that answers one request at a time" },
    ...MODEL_OPTIONS,
    "max-sequences": { value: "N", help: "requests that the server answers at once, as its own option", rare: true },
  },
  mostPositionals: 1,
  examples: [
    "ocellus bench serve --model org/name --dtype q4",
    "ocellus bench serve http://127.0.0.1:8080 --clients 1,8 --prompts text --json",
  ],
  notes: `Each measurement begins with a short answer for every client, which is not counted. "× one"
is relative to one client, or the first of --clients. Times are p50 / p95 / p99. "cached" is the share of
the prompts' tokens that the server did not compute again. With --compare, "× alone" is relative to a
server that answers one request at a time. OCELLUS_API_KEY has the key of a server.`,
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
  const plans = prompts
    .flatMap((prompt) =>
      prefixes.flatMap((prefix) => clients.map((clients) => ({ prompt, prefix, clients, tokens, seconds }))),
    )
    .map((plan, i) => ({ ...plan, first: i * NUMBERS }));
  const progress = new ProgressLine(process.stderr);
  const output = given.has("json") ? new Lines() : new Table();
  /** Measures all plans; `alone` has the results of a server that answers one request at a time. */
  const measure = async (target: LoadTarget, alone?: readonly LoadMeasurement[]): Promise<LoadMeasurement[]> => {
    output.begin(target, given.has("compare") && !alone);
    const done: LoadMeasurement[] = [];
    for (const [i, plan] of plans.entries()) {
      progress.text(`${plan.prompt}, ${plan.prefix}, ${plan.clients} clients`);
      const measured = await measureLoad(target, plan, signal);
      done.push(measured);
      progress.clear();
      output.say(measured, done[i - (i % clients.length)]!, alone?.[i]);
    }
    return done;
  };
  const [address] = given.positionals;
  try {
    if (address !== undefined) {
      refuseOfServer(given, address);
      await measure(await loadTarget(address, process.env.OCELLUS_API_KEY));
      return;
    }
    const started = async (
      options: readonly string[],
      alone?: readonly LoadMeasurement[],
    ): Promise<LoadMeasurement[]> => {
      progress.text("starting a server");
      const server = await ServerChild.start(options, signal);
      progress.clear();
      try {
        return await measure(await loadTarget(server.url), alone);
      } finally {
        await server.stop();
      }
    };
    const atOnce = given.count("max-sequences");
    const alone = given.has("compare") ? await started(serverOptions(given, 1)) : undefined;
    await started(serverOptions(given, atOnce), alone);
  } finally {
    progress.clear();
  }
}

/** The option of `ocellus serve` for the number of requests at once. */
const AT_ONCE = Object.hasOwn(serve.options, "max-sequences") ? "--max-sequences" : "--parallel";

/** The options for `ocellus serve`; those of the model are checked here. */
function serverOptions(given: Arguments, atOnce: number | undefined): string[] {
  loadOptions(given);
  const options = given.ordered
    .filter(({ name }) => name in MODEL_OPTIONS)
    .flatMap(({ name, value }) => (value === undefined ? [`--${name}`] : [`--${name}`, value]));
  return atOnce === undefined ? options : [...options, AT_ONCE, String(atOnce)];
}

/** Throws OptionError for an option of the server that is started, beside the address of another. */
function refuseOfServer(given: Arguments, address: string): void {
  const own = given.ordered.find(({ name }) => name in MODEL_OPTIONS || ["compare", "max-sequences"].includes(name));
  if (!own) return;
  throw new OptionError({
    where: given.where,
    expected: "options of a server only where one is started",
    got: `--${own.name} beside ${address}`,
    remedy: "leave out the one or the other",
  });
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
  #tables = 0;

  begin({ model, url }: LoadTarget, isAlone: boolean): void {
    const before = this.#tables++ === 0 ? "" : "\n";
    process.stdout.write(`${before}${model} at ${url}${isAlone ? ", one request at a time" : ""}\n\n${loadHeader()}\n`);
  }

  say(measured: LoadMeasurement, one: LoadMeasurement, alone: LoadMeasurement | undefined): void {
    process.stdout.write(`${loadRow(measured, one, alone)}\n`);
  }
}

/** JSON Lines output. */
class Lines {
  #about: object = {};

  begin({ model, url }: LoadTarget): void {
    this.#about = { model, url, ocellus: versionOf("../../package.json"), date: new Date().toISOString() };
  }

  say(measured: LoadMeasurement, one: LoadMeasurement, alone: LoadMeasurement | undefined): void {
    const compared = alone && { timesAlone: ratio(measured, alone) };
    const line = { name: "serve", ...measured, timesOneClient: ratio(measured, one), ...compared, ...this.#about };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }
}
