import { resolve } from "node:path";
import { OptionError } from "../base/errors.js";
import { type ConvertOptions, convertCheckpoint } from "../models/convert.js";
import { parse } from "./arguments.js";
import { dtypeOption, hubOptions } from "./model-options.js";
import { NewFolder } from "./new-folder.js";
import { ProgressLine } from "./progress-line.js";

const HELP = `ocellus convert FROM TO --dtype TYPE [options]

Writes a checkpoint whose matrices have another storage dtype. The result loads without conversion, like any checkpoint.

  FROM                    checkpoint folder, hub id (org/name) or URL
  TO                      the folder to write
  --dtype TYPE            q4, q8, f16, bf16 or f32; or by part: vision=f16,language=q4
                          (parts: vision, projector, language, embed; parts that are not given are unchanged)
  --shard-bytes N         maximum size of a weights file in bytes (5000000000)
  --force                 replace the folder if it is empty or contains a checkpoint
  --revision NAME, --refresh, --offline   as for \`ocellus ask\`

The folder is created atomically: files are written to TO.partial, which is renamed at the end, or removed after an interruption.
`;

const OPTIONS = {
  dtype: { type: "string" },
  "shard-bytes": { type: "string" },
  force: { type: "boolean" },
  revision: { type: "string" },
  refresh: { type: "boolean" },
  offline: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

const STOPS = ["SIGINT", "SIGTERM"] as const;

/** Writes a converted checkpoint. */
export async function convert(args: string[]): Promise<void> {
  const given = parse("convert", args, OPTIONS);
  if (given.has("help")) {
    process.stdout.write(HELP);
    return;
  }
  const [from, to, ...more] = given.positionals;
  const { dtype } = dtypeOption(given);
  if (from === undefined || to === undefined || more.length > 0 || dtype === undefined) {
    throw new OptionError({
      where: "ocellus convert",
      expected: "FROM, TO and --dtype",
      got: args.join(" ") || "nothing",
      remedy: "for example `ocellus convert llava-hf/llava-onevision-qwen2-0.5b-ov-hf small --dtype q4`",
    });
  }
  const abort = new AbortController();
  const stop = () => abort.abort();
  for (const name of STOPS) process.once(name, stop);
  try {
    const shardBytes = given.count("shard-bytes");
    const options = {
      dtype,
      signal: abort.signal,
      ...hubOptions(given),
      ...(shardBytes !== undefined && { shardBytes }),
    };
    await write(from, resolve(to), options, given.has("force"));
  } finally {
    for (const name of STOPS) process.removeListener(name, stop);
  }
}

async function write(from: string, target: string, options: ConvertOptions, force: boolean): Promise<void> {
  const folder = await NewFolder.beside(target, force);
  const line = new ProgressLine(process.stderr);
  let total = 0;
  try {
    const converted = convertCheckpoint(from, {
      ...options,
      onDownload: (p) => line.bytes(`downloading ${p.file}:`, p.allLoadedBytes, p.allTotalBytes, p.bytesPerSecond),
    });
    for await (const { name, sizeBytes, chunks } of converted) {
      const told = (written: number) => line.bytes(`writing ${name}:`, written, sizeBytes);
      total += await folder.write(name, chunks, told);
    }
    await folder.finish();
  } catch (cause) {
    await folder.abandon();
    throw cause;
  } finally {
    line.clear();
  }
  process.stdout.write(`${target}: ${(total / 1e6).toFixed(1)} MB\n`);
}
