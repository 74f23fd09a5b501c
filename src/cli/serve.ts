import { hostname } from "node:os";
import { OptionError } from "../base/errors.js";
import { LlavaOneVision } from "../models/llava-onevision.js";
import type { Served } from "../server/app.js";
import { startServer } from "../server/server.js";
import type { Arguments, Command } from "./command.js";
import { type Interruption, type StopSignal, statusOf } from "./interruption.js";
import { adapterOption, dtypeOption, hubOptions, MODEL_OPTIONS, modelLocation, servedName } from "./model-options.js";
import { note } from "./note.js";
import { ProgressLine } from "./progress-line.js";

/** Serves a model until a signal arrives. */
export const serve: Command = {
  name: "serve",
  usage: "[options]",
  about: `An HTTP server with OpenAI's interface: /v1/chat/completions, /v1/responses,
/v1/embeddings, /v1/models, /health, /metrics (Prometheus).`,
  options: {
    ...MODEL_OPTIONS,
    name: { value: "NAME", help: "model name in requests (hub id, or folder's name)" },
    host: { value: "ADDRESS", help: "address to listen on (127.0.0.1)" },
    port: { value: "N", help: "port; 0 for any free one (8080)" },
    "api-key": { value: "KEY", help: "key that clients must send; better: OCELLUS_API_KEY" },
    "allow-host": {
      value: "NAME",
      help: "also answer requests to this host name, or to any (*)",
      multiple: true,
      rare: true,
    },
    cors: { value: "ORIGIN", help: "allow pages of this origin, or all with *" },
    parallel: { value: "N", help: "requests processed concurrently (2)" },
    timeout: { value: "S", help: "maximum seconds per request, waiting included (300)" },
    "allow-remote-media": { help: "fetch pictures by http(s) from public addresses" },
    queue: { value: "N", help: "maximum waiting requests; further ones get status 429 (256)", rare: true },
    grace: { value: "S", help: "seconds to finish running requests when the server is stopped (30)", rare: true },
    "max-pixels": { value: "MP", help: "megapixels of all pictures of a request (40)", rare: true },
    "max-body": { value: "MB", help: "maximum size of a request body (64)", rare: true },
  },
  examples: ["ocellus serve --model llava-hf/llava-onevision-qwen2-0.5b-ov-hf --dtype q8"],
  notes: `SIGTERM and Ctrl-C let running requests finish; a second one ends the server at once.
The status is 0 after SIGTERM, by which supervisors stop services, 130 after Ctrl-C.`,
  run: listen,
};

async function listen(given: Arguments, interruption: Interruption): Promise<void> {
  const apiKey = given.value("api-key") ?? (process.env.OCELLUS_API_KEY || undefined);
  const host = given.value("host") ?? "127.0.0.1";
  const options = {
    host,
    port: portOf(given.value("port")),
    parallel: given.count("parallel") ?? 2,
    queue: given.count("queue") ?? 256,
    timeoutSeconds: given.count("timeout") ?? 300,
    maxBodyBytes: (given.count("max-body") ?? 64) * 2 ** 20,
    maxPixels: (given.count("max-pixels") ?? 40) * 1e6,
    apiKey,
    hosts: hostsOf(given.values("allow-host"), host),
    cors: originOf(given.value("cors")),
    remoteMedia: given.has("allow-remote-media"),
  };
  const graceSeconds = given.count("grace") ?? 30;
  const dtype = dtypeOption(given);
  const where = modelLocation(given.value("model"));
  const name = given.value("name") ?? servedName(where);
  const abort = new AbortController();
  const stopped = new Promise<StopSignal>((resolve) => {
    interruption.react((name) => {
      if (abort.signal.aborted) process.exit(statusOf(name));
      abort.abort();
      resolve(name);
    });
  });
  const line = new ProgressLine(process.stderr);
  let model: LlavaOneVision | undefined;
  const load = async (): Promise<Served> => {
    const loaded = await LlavaOneVision.load(where, {
      signal: abort.signal,
      ...dtype,
      ...adapterOption(given),
      ...hubOptions(given),
      onDownload: (p) => line.bytes(`downloading ${p.file}:`, p.allLoadedBytes, p.allTotalBytes, p.bytesPerSecond),
      onProgress: (p) => line.bytes("loading", p.loadedBytes, p.totalBytes),
    }).finally(() => line.clear());
    model = loaded;
    const { tokenizer } = loaded.internals.processor;
    return {
      model: loaded,
      name,
      embed: async (texts, signal) => ({
        vectors: await loaded.embedText(texts, { signal }),
        tokens: texts.reduce((sum, text) => sum + tokenizer.encodeLiteral(text).length, 0),
      }),
    };
  };
  const server = await startServer(load, {
    ...options,
    gpuBytes: () => model?.device.pool.reservedBytes ?? 0,
    log: (error) => process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`),
  });
  process.stdout.write(`${name} at ${server.url}/v1\n`);
  if (apiKey === undefined && !["127.0.0.1", "::1", "localhost"].includes(host)) {
    note("(anyone who can reach this address may send requests: set OCELLUS_API_KEY)");
  }
  const signal = await stopped;
  await server.close(graceSeconds);
  model?.dispose();
  // Stopping a service by SIGTERM is its regular end.
  if (signal !== "SIGTERM") process.exitCode = statusOf(signal);
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
