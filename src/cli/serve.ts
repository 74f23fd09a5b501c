import { basename } from "node:path";
import { OptionError } from "../base/errors.js";
import { LlavaOneVision } from "../models/llava-onevision.js";
import type { Served } from "../server/app.js";
import { startServer } from "../server/server.js";
import { parse } from "./arguments.js";
import { dtypeOption, hubOptions } from "./model-options.js";
import { ProgressLine } from "./progress-line.js";
import { tinyCheckpoint } from "./tiny-checkpoint.js";

const HELP = `ocellus serve [options]

An HTTP server with OpenAI's interface: /v1/chat/completions, /v1/responses, /v1/embeddings, /v1/models, /health, /metrics (Prometheus).

  --model WHERE           checkpoint folder, hub id (org/name) or URL (the embedded tiny one if not given)
  --name NAME             model name in requests (the hub id, or the folder's name)
  --dtype TYPE            storage dtype of weights: auto, f32, f16, bf16, q8, q4; or by part: vision=q8,language=q4
  --revision NAME, --refresh, --offline   as for \`ocellus ask\`
  --host ADDRESS          address to listen on (127.0.0.1)
  --port N                port; 0 for any free one (8080)
  --parallel N            requests processed concurrently (2)
  --queue N               maximum waiting requests; further ones get status 429 (256)
  --timeout S             maximum seconds per request, waiting included (300)
  --grace S               seconds to finish running requests when the server is stopped (30)
  --max-body MB           maximum size of a request body (64)
  --api-key KEY           API key that clients must send; preferably in the environment, as OCELLUS_API_KEY
  --allow-remote-media    allow http and https URLs of pictures and clips, on public addresses only
  --cors ORIGIN           allow requests of pages of this origin, or of all with *; without it none
  --debug                 stack traces
`;

const OPTIONS = {
  model: { type: "string" },
  name: { type: "string" },
  dtype: { type: "string" },
  revision: { type: "string" },
  refresh: { type: "boolean" },
  offline: { type: "boolean" },
  host: { type: "string" },
  port: { type: "string" },
  parallel: { type: "string" },
  queue: { type: "string" },
  timeout: { type: "string" },
  grace: { type: "string" },
  "max-body": { type: "string" },
  "api-key": { type: "string" },
  "allow-remote-media": { type: "boolean" },
  cors: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

/** Serves a model until a signal arrives. */
export async function serve(args: string[]): Promise<void> {
  const given = parse("serve", args, OPTIONS);
  if (given.has("help")) {
    process.stdout.write(HELP);
    return;
  }
  const where = given.value("model") ?? tinyCheckpoint();
  const name = given.value("name") ?? (/^[\w.-]+\/[\w.-]+$/.test(where) ? where : basename(where.replace(/\/+$/, "")));
  const host = given.value("host") ?? "127.0.0.1";
  const apiKey = given.value("api-key") ?? (process.env.OCELLUS_API_KEY || undefined);
  const abort = new AbortController();
  const stopped = new Promise<void>((resolve) => {
    const stop = (): void => {
      abort.abort();
      resolve();
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
    };
    process.once("SIGINT", stop);
    process.once("SIGTERM", stop);
  });
  const line = new ProgressLine(process.stderr);
  let model: LlavaOneVision | undefined;
  const load = async (): Promise<Served> => {
    const loaded = await LlavaOneVision.load(where, {
      signal: abort.signal,
      ...dtypeOption(given),
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
    host,
    port: portOf(given.value("port")),
    parallel: given.count("parallel") ?? 2,
    queue: given.count("queue") ?? 256,
    timeoutSeconds: given.count("timeout") ?? 300,
    maxBodyBytes: (given.count("max-body") ?? 64) * 2 ** 20,
    apiKey,
    cors: originOf(given.value("cors")),
    remoteMedia: given.has("allow-remote-media"),
    gpuBytes: () => model?.device.pool.reservedBytes ?? 0,
    log: (error) => process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`),
  });
  process.stdout.write(`${name} at ${server.url}/v1\n`);
  if (apiKey === undefined && !["127.0.0.1", "::1", "localhost"].includes(host)) {
    process.stderr.write("(anyone who can reach this address may send requests: set OCELLUS_API_KEY)\n");
  }
  await stopped;
  await server.close(given.count("grace") ?? 30);
  model?.dispose();
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
