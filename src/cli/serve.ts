import { hostname } from "node:os";
import { AbortedError, OptionError } from "../base/errors.js";
import { type ApiKey, readKeys, unnamed } from "../server/api-keys.js";
import { LOG_FORMATS, Log, type LogFormat } from "../server/log.js";
import { type RunningServer, startServer } from "../server/server.js";
import { LoadFailure, Supervisor } from "../server/supervisor.js";
import type { Arguments, Command } from "./command.js";
import { readText } from "./input-file.js";
import { type Interruption, type StopSignal, statusOf } from "./interruption.js";
import { devicesGiven, loadOptions, MAX_SEQUENCES, MODEL_OPTIONS, modelLocation, servedName } from "./model-options.js";
import type { ModelSettings } from "./model-settings.js";
import { note } from "./note.js";
import { ProgressLine } from "./progress-line.js";

/** Serves a model until a signal arrives. */
export const serve: Command = {
  name: "serve",
  usage: "[options]",
  about: `An HTTP server with OpenAI's interface: /v1/chat/completions, /v1/responses,
/v1/embeddings, /v1/models, /health, /metrics (Prometheus). The model runs in
a process of its own, which is started again if it ends.`,
  options: {
    ...MODEL_OPTIONS,
    name: { value: "NAME", help: "model name in requests (hub id, or folder's name)" },
    host: { value: "ADDRESS", help: "address to listen on (127.0.0.1)" },
    port: { value: "N", help: "port; 0 for any free one (8080)" },
    "api-key": { value: "KEY", help: "key that clients must send; better: OCELLUS_API_KEY" },
    "api-keys": {
      value: "FILE",
      help: "several keys: NAME KEY on a line; or OCELLUS_API_KEYS",
      path: true,
      rare: true,
    },
    "allow-host": {
      value: "NAME",
      help: "also answer requests to this host name, or to any (*)",
      multiple: true,
      rare: true,
    },
    cors: { value: "ORIGIN", help: "allow pages of this origin, or all with *" },
    "max-sequences": { value: "N", help: `requests answered at once, which share decode steps (${MAX_SEQUENCES})` },
    parallel: { value: "N", help: "former name of --max-sequences", rare: true },
    timeout: { value: "S", help: "maximum seconds per request, waiting included (300)" },
    "allow-remote-media": { help: "fetch pictures by http(s) from public addresses" },
    "prefill-ms": { value: "N", help: "ms that prompts may delay a token of other requests (20)", rare: true },
    queue: { value: "N", help: "maximum waiting requests; further ones get status 429 (256)", rare: true },
    "rate-limit": { value: "N", help: "requests a minute per key, or per address without keys", rare: true },
    log: { value: "FORMAT", help: "requests on standard error: json, text or none", choices: LOG_FORMATS, rare: true },
    restarts: { value: "N", help: "ends of the model's process within a minute that are repaired (2)", rare: true },
    grace: { value: "S", help: "seconds to finish running requests when the server is stopped (30)", rare: true },
    "max-pixels": { value: "MP", help: "megapixels of all pictures of a request (40)", rare: true },
    "max-body": { value: "MB", help: "maximum size of a request body (64)", rare: true },
  },
  examples: ["ocellus serve --model llava-hf/llava-onevision-qwen2-0.5b-ov-hf --dtype q8"],
  notes: `SIGTERM and Ctrl-C let running requests finish; a second one ends the server at once.
The status is 0 after SIGTERM, by which supervisors stop services, 130 after Ctrl-C,
and 1 if the model's process ended three times within a minute (--restarts 2).`,
  run: listen,
};

async function listen(given: Arguments, interruption: Interruption): Promise<void> {
  const host = given.value("host") ?? "127.0.0.1";
  const debug = given.has("debug");
  const options = {
    host,
    port: portOf(given.value("port")),
    parallel: given.count("max-sequences") ?? given.count("parallel") ?? MAX_SEQUENCES,
    queue: given.count("queue") ?? 256,
    timeoutSeconds: given.count("timeout") ?? 300,
    maxBodyBytes: (given.count("max-body") ?? 64) * 2 ** 20,
    apiKeys: await keysOf(given),
    rateLimit: given.count("rate-limit"),
    hosts: hostsOf(given.values("allow-host"), host),
    cors: originOf(given.value("cors")),
    logMessages: debug,
  };
  const graceSeconds = given.count("grace") ?? 30;
  const where = modelLocation(given.value("model"));
  const name = given.value("name") ?? servedName(where);
  // Checked by the parser.
  const format = (given.value("log") ?? (process.stderr.isTTY ? "text" : "json")) as LogFormat;
  const prefillMs = given.count("prefill-ms", 0);
  const settings: ModelSettings = {
    where,
    name,
    options: { ...loadOptions(given), ...(prefillMs !== undefined && { prefillMs }) },
    devices: devicesGiven(given),
    sequences: options.parallel,
    debug,
  };
  const supervisor = new Supervisor({
    entry: new URL("./model-process.js", import.meta.url),
    parallel: options.parallel,
    maxPixels: (given.count("max-pixels") ?? 40) * 1e6,
    remoteMedia: given.has("allow-remote-media"),
    restarts: given.count("restarts", 0) ?? 2,
    settings,
  });
  let server: RunningServer | undefined;
  let signalled: StopSignal | undefined;
  let end: (failure?: Error) => void = () => {};
  const ended = new Promise<Error | undefined>((resolve) => {
    end = resolve;
  });
  interruption.react((name) => {
    if (signalled) process.exit(statusOf(name));
    signalled = name;
    // While the model loads there is nothing to finish.
    if (!server) void supervisor.stop();
    end();
  });
  const line = new ProgressLine(process.stderr);
  const log = new Log(format, (text) => {
    line.clear();
    process.stderr.write(text);
  });
  try {
    server = await startServer(supervisor, {
      ...options,
      name,
      log,
      onProgress: ({ what, done, total, bytesPerSecond }) => line.bytes(what, done, total, bytesPerSecond),
      onFailed: end,
    });
    line.clear();
    process.stdout.write(`${name} at ${server.url}/v1\n`);
    if (options.apiKeys.length === 0 && !["127.0.0.1", "::1", "localhost"].includes(host)) {
      note("(anyone who can reach this address may send requests: set OCELLUS_API_KEY)");
    }
    const failure = await ended;
    await server.close(failure ? 0 : graceSeconds);
    if (failure) throw failure;
  } catch (error) {
    line.clear();
    if (error instanceof LoadFailure) {
      process.stderr.write(error.text);
      process.exitCode = error.status;
      return;
    }
    if (!(signalled && error instanceof AbortedError)) throw error;
  }
  // Stopping a service by SIGTERM is its regular end.
  if (signalled && signalled !== "SIGTERM") process.exitCode = statusOf(signalled);
}

/** The keys that `--api-key`, `--api-keys` and the environment name. */
async function keysOf(given: Arguments): Promise<ApiKey[]> {
  const single = given.value("api-key") ?? process.env.OCELLUS_API_KEY;
  const file = given.value("api-keys");
  const listed = file === undefined ? (process.env.OCELLUS_API_KEYS ?? "") : await readText(file, "--api-keys");
  return [...(single ? [unnamed(single)] : []), ...readKeys(listed, file ?? "OCELLUS_API_KEYS")];
}

/** Reads `--port`; 0 is any free port. */
function portOf(text = "8080"): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65535) return port;
  throw new OptionError({
    where: "ocellus serve, --port",
    expected: "a whole number from 0 to 65535",
    got: text,
    remedy: "leave it out for 8080",
  });
}

/** Reads `--allow-host`: names beside localhost, addresses and this machine's own name; undefined for any. */
function hostsOf(names: readonly string[], host: string): string[] | undefined {
  if (names.includes("*")) return undefined;
  const own = hostname().toLowerCase();
  return [own, `${own}.local`, host, ...names].map((name) => name.toLowerCase());
}

/** Reads `--cors`, an origin as browsers send it: one with a trailing slash would never match. */
function originOf(text: string | undefined): string | undefined {
  if (text === undefined || text === "*" || (URL.canParse(text) && new URL(text).origin === text)) return text;
  throw new OptionError({
    where: "ocellus serve, --cors",
    expected: "an origin such as https://example.com, or *",
    got: text,
    remedy: "give scheme, host and port, without a path or a slash at the end",
  });
}
