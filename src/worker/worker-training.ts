import type { ConvertedFile } from "../models/converted-file.js";
import type { TrainOptions } from "../models/training-options.js";
import type { Evaluation, TrainingStep } from "../models/training-step.js";
import type { TrainingRecord } from "../training/samples.js";
import type { Connection, Opening } from "./connection.js";
import type { Pulled, SentStep, ToWorker } from "./messages.js";
import { sendLocation, sendOptions, Transferables } from "./transferables.js";
import type { Names } from "./worker-session.js";

const WHERE = "model.train";

/** The implementation of `WorkerModel.train`: each step is made in the worker when it is requested. */
export async function* workerSteps(
  connection: Connection,
  names: Names,
  records: readonly TrainingRecord[],
  options: TrainOptions,
): AsyncGenerator<TrainingStep, void, undefined> {
  const training = connection.name();
  const sent = sendOptions(WHERE, withPlainLocation(options), {});
  const opening = sendRecords(names, records, (given) => ({
    kind: "train",
    call: training,
    records: given,
    options: sent,
  }));
  const over = connection.call(training, opening, { where: WHERE, options });
  over.catch(() => {});
  const pull = (what: Pulled): Promise<unknown> => {
    const call = connection.name();
    const message = { kind: "pull", call, training, what } as const;
    return connection.call(call, Promise.resolve({ message }), { where: WHERE, options });
  };
  async function* files(what: "files" | "state"): AsyncGenerator<ConvertedFile, void, undefined> {
    await pull(what);
    for (;;) {
      const file = (await pull("file")) as Omit<ConvertedFile, "chunks"> | undefined;
      if (!file) return;
      yield { ...file, chunks: chunks() };
    }
  }
  async function* chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const bytes = (await pull("chunk")) as Uint8Array | undefined;
      if (!bytes) return;
      yield bytes;
    }
  }
  const evaluate = async (held: readonly TrainingRecord[]): Promise<Evaluation> => {
    const call = connection.name();
    const asked = sendRecords(names, held, (given) => ({ kind: "evaluate", call, training, records: given }));
    return (await connection.call(call, asked, { where: WHERE, options })) as Evaluation;
  };
  let ended = false;
  try {
    await opening;
    for (;;) {
      const step = (await pull("step")) as SentStep | undefined;
      if (!step) break;
      yield { ...step, files: () => files("files"), state: () => files("state"), evaluate };
    }
    ended = true;
  } catch (error) {
    ended = true;
    // An error of a callback, or of the options, is the run's.
    await over;
    throw error;
  } finally {
    if (!ended) connection.post({ kind: "finish", training });
  }
  await over;
}

function withPlainLocation({ resume, ...options }: TrainOptions): TrainOptions {
  return { ...options, ...(resume !== undefined && { resume: sendLocation(resume) as never }) };
}

async function sendRecords(
  names: Names,
  records: readonly TrainingRecord[],
  message: (records: unknown) => ToWorker,
): Promise<Opening> {
  const parcel = new Transferables();
  // Values of wrong types are sent unchanged: the worker reports them.
  const given = Array.isArray(records)
    ? await Promise.all(
        records.map(async (record) => ({
          ...record,
          messages: await parcel.input(record?.messages, () => names.next()),
        })),
      )
    : records;
  return { message: message(given), transfer: parcel.transfer };
}
