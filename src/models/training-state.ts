import { CheckpointError, OptionError } from "../base/errors.js";
import { type CheckpointLocation, openCheckpoint } from "../io/checkpoint.js";
import { safetensorsHeader } from "../io/safetensors.js";
import type { Optimizer } from "../training/optimizer.js";
import { type ConvertedFile, textFile } from "./converted-files.js";

const STATE = "training_state.json";
const BUFFERS = "training_state.safetensors";

interface State {
  /** Steps that were made. */
  readonly step: number;
  /** Steps of each part. */
  readonly parts: Readonly<Record<string, number>>;
  /** Options and size of the data. */
  readonly run: string;
}

/** Yields the files of the state after a step: weights and moments in the layout that they have on the device, bit by bit. */
export async function* stateFiles(optimizer: Optimizer, step: number, run: string): AsyncGenerator<ConvertedFile> {
  const { buffers, steps } = optimizer;
  const state: State = { step, parts: steps, run };
  yield textFile(STATE, `${JSON.stringify(state)}\n`);
  const heads = buffers.map(({ length }, i) => ({ name: String(i), dtype: "F32" as const, shape: [length] }));
  const header = safetensorsHeader(heads);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield header;
    for (const buffer of buffers) yield new Uint8Array(await buffer.device.read(buffer));
  }
  const sizeBytes = buffers.reduce((sum, buffer) => sum + buffer.sizeBytes, header.length);
  yield { name: BUFFERS, sizeBytes, chunks: chunks() };
}

/** Restores the state of an earlier run; returns its number of steps. Throws OptionError for one of another run, CheckpointError, SourceError. */
export async function restoreState(optimizer: Optimizer, from: CheckpointLocation, run: string): Promise<number> {
  const files = await openCheckpoint(from);
  const state = (await files.json(STATE)) as unknown as State | undefined;
  const where = `${files.name}: ${STATE}`;
  if (typeof state?.step !== "number" || typeof state.run !== "string") {
    throw new CheckpointError({
      where,
      expected: "the state of a training run",
      got: state === undefined ? "no such file" : "another file",
      remedy: "resume from a folder that a training run saved, or begin anew",
    });
  }
  if (state.run !== run) {
    throw new OptionError({
      where,
      expected: "a run with the same data and options",
      got: differences(state.run, run),
      remedy: "give the same options, or begin anew",
    });
  }
  const index = await files.tensors(BUFFERS);
  try {
    for (const [i, buffer] of optimizer.buffers.entries()) {
      const stored = index.entries.get(String(i));
      if (stored?.entry.lengthBytes !== buffer.sizeBytes) {
        throw new CheckpointError({
          where: `${files.name}: ${BUFFERS}, tensor ${i}`,
          expected: `${buffer.sizeBytes} bytes for ${buffer.label}`,
          got: stored ? `${stored.entry.lengthBytes}` : "none",
          remedy: "resume with the model and the adapter that the run began with",
        });
      }
      buffer.device.write(buffer, await index.read(stored, 0, buffer.sizeBytes));
    }
  } finally {
    await index.close();
  }
  optimizer.continueFrom(state.parts);
  return state.step;
}

/** The first options that differ. */
function differences(earlier: string, now: string): string {
  const [before, after] = [earlier, now].map((text) => JSON.parse(text) as Record<string, unknown>);
  const names = Object.keys(after!).filter((name) => JSON.stringify(before![name]) !== JSON.stringify(after![name]));
  return names
    .map((name) => `${name} ${JSON.stringify(before![name])}, now ${JSON.stringify(after![name])}`)
    .join("; ");
}
