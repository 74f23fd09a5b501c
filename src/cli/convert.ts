import { resolve } from "node:path";
import { OptionError } from "../base/errors.js";
import { type ConvertOptions, convertCheckpoint } from "../models/convert.js";
import type { Arguments, Command } from "./command.js";
import type { Interruption } from "./interruption.js";
import {
  ADAPTER_OPTIONS,
  adapterOption,
  DTYPE_OPTION,
  dtypeOption,
  HUB_OPTIONS,
  hubOptions,
  modelLocation,
} from "./model-options.js";
import { NewFolder } from "./new-folder.js";
import { note } from "./note.js";
import { hasFinishedLayers, writePacked } from "./packed-folder.js";
import { ProgressLine } from "./progress-line.js";

/** Writes a converted checkpoint. */
export const convert: Command = {
  name: "convert",
  usage: "FROM TO --dtype TYPE [options]",
  about: `Writes a checkpoint whose matrices have another storage dtype. The result loads
without conversion, like any checkpoint. FROM is a folder, hub id (org/name) or URL,
TO the folder to write. Parts that --dtype does not name are unchanged.`,
  options: {
    ...DTYPE_OPTION,
    packed: { help: "write the weights as they are on the GPU, a range a layer" },
    force: { help: "replace the folder if it is empty or contains a checkpoint" },
    "shard-bytes": { value: "N", help: "maximum size of a weights file in bytes (5000000000)" },
    adapter: ADAPTER_OPTIONS.adapter!,
    ...HUB_OPTIONS,
  },
  positionalPaths: true,
  mostPositionals: 2,
  examples: [
    "ocellus convert llava-hf/llava-onevision-qwen2-0.5b-ov-hf small --dtype q4",
    "ocellus convert llava-hf/llava-onevision-qwen2-7b-ov-hf 7b --dtype q4 --packed",
    "ocellus ask --model small --image photo.jpg 'What is this?'",
  ],
  notes: `The folder is created atomically: files are written to TO.partial, which is renamed
at the end, or removed after an interruption. With --packed its finished layers
are kept then, also after a kill or a power failure: the same command resumes.
A packed checkpoint loads without packing, and its layers' hashes are checked.`,
  async run(given: Arguments, interruption: Interruption) {
    const [from, to] = given.positionals;
    const { dtype } = dtypeOption(given);
    if (from === undefined || to === undefined || dtype === undefined) {
      throw new OptionError({
        where: given.where,
        expected: "FROM, TO and --dtype",
        got: [...given.positionals, ...(given.has("dtype") ? ["--dtype"] : [])].join(" ") || "nothing",
        remedy: "for example `ocellus convert llava-hf/llava-onevision-qwen2-0.5b-ov-hf small --dtype q4`",
      });
    }
    const shardBytes = given.count("shard-bytes");
    const { adapter } = adapterOption(given);
    const options = {
      dtype,
      signal: interruption.signal,
      ...(adapter !== undefined && { adapter }),
      ...hubOptions(given),
      ...(shardBytes !== undefined && { shardBytes }),
    };
    const packs = given.has("packed");
    await (packs ? writePackedFolder : write)(modelLocation(from), resolve(to), options, given.has("force"));
  },
};

async function writePackedFolder(from: string, target: string, options: ConvertOptions, force: boolean): Promise<void> {
  const folder = await NewFolder.beside(target, force, true);
  const line = new ProgressLine(process.stderr);
  let total: number;
  try {
    const { planPacked } = await import("../models/packed-files.js");
    const plan = await planPacked(from, { ...options, onDownload: line.loading.onDownload });
    try {
      total = await writePacked(folder, plan, (doing, done, all) => line.bytes(doing, done, all), options.signal);
    } finally {
      await plan.close();
    }
    await folder.finish();
  } catch (cause) {
    line.clear();
    if (await hasFinishedLayers(folder)) note(`${folder.partial} has the layers that are finished: run this again`);
    else await folder.abandon();
    throw cause;
  } finally {
    line.clear();
  }
  process.stdout.write(`${target}: ${(total / 1e6).toFixed(1)} MB\n`);
}

async function write(from: string, target: string, options: ConvertOptions, force: boolean): Promise<void> {
  const folder = await NewFolder.beside(target, force);
  const line = new ProgressLine(process.stderr);
  let total = 0;
  try {
    const converted = convertCheckpoint(from, {
      ...options,
      onDownload: line.loading.onDownload,
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
