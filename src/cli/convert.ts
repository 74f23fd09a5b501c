import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type ConvertOptions, convertCheckpoint } from "../models/llava-onevision/convert.js";
import { OptionError } from "../runtime/errors.js";
import { parse } from "./arguments.js";
import { dtypeOption, hubOptions } from "./model-options.js";
import { ProgressLine } from "./progress-line.js";

const HELP = `ocellus convert FROM TO --dtype TYPE [options]

Writes a checkpoint whose matrices are stored in fewer bits. It loads without conversion, wherever a checkpoint can be given.

  FROM                    checkpoint folder, hub id (org/name) or URL
  TO                      the folder to write
  --dtype TYPE            q4, q8, f16, bf16 or f32; or by part: vision=f16,language=q4
                          (parts: vision, projector, language, embed; those left out stay as they are)
  --shard-bytes N         most bytes of one weights file (5000000000)
  --force                 write over the folder if it exists
  --revision NAME, --refresh, --offline   as for \`ocellus ask\`

The folder appears when it is whole: until then the files lie in TO.partial.
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
  process.once("SIGINT", stop);
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
    process.removeListener("SIGINT", stop);
  }
}

/** Writes beside the target and renames at the end: a folder of that name is always whole. */
async function write(from: string, target: string, options: ConvertOptions, force: boolean): Promise<void> {
  if (!force && (await exists(target))) {
    throw new OptionError({
      where: "ocellus convert",
      expected: "a folder that does not exist yet",
      got: target,
      remedy: "give another name, or --force to write over it",
    });
  }
  const partial = `${target}.partial`;
  const line = new ProgressLine(process.stderr);
  let total = 0;
  try {
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
    for await (const { name, sizeBytes, chunks } of convertCheckpoint(from, options)) {
      const file = await open(join(partial, name), "wx");
      try {
        let written = 0;
        for await (const chunk of chunks) {
          await file.writeFile(chunk);
          written += chunk.length;
          line.bytes(`writing ${name}:`, written, sizeBytes);
        }
        total += written;
      } finally {
        await file.close();
      }
    }
    await rm(target, { recursive: true, force: true });
    await rename(partial, target);
  } catch (cause) {
    await rm(partial, { recursive: true, force: true });
    throw cause;
  } finally {
    line.clear();
  }
  process.stdout.write(`${target}: ${(total / 1e6).toFixed(1)} MB\n`);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
