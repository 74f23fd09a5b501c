import { computed, effect, signal } from "@preact/signals";
import type { TrainingRecord } from "ocellus/train";
import type { WorkerModel } from "ocellus/worker";
import { type ShownFault, shown } from "../fault.js";
import { adapters, loadedChoice, model, TINY, training } from "../talk/model.js";

/** A picture and its right answer. */
export interface Example {
  readonly id: string;
  readonly file: File;
  readonly url: string;
  readonly answer: string;
}

export interface Settings {
  readonly steps: number;
  readonly rank: number;
  readonly learningRate: number;
}

/** One held-out example, and what the model answers. */
export interface Tested {
  readonly example: Example;
  readonly before: string;
  readonly after?: string;
}

/** A run of training, and its state. */
export interface Run {
  readonly phase: "asking" | "training" | "checking" | "done" | "failed";
  readonly steps: number;
  /** Of each step so far. */
  readonly losses: readonly number[];
  /** Seconds until its end. */
  readonly secondsLeft?: number;
  readonly tested: readonly Tested[];
  readonly adapter?: string;
  /** The adapter in PEFT's format. */
  readonly files: readonly File[];
  readonly error?: ShownFault;
}

/** Every so many examples one is held out: of each answer that comes as often, and of all others. */
const HELD_OUT = 4;
/** Tokens of an answer that is checked. */
const CHECKED_TOKENS = 40;
/** Rates that do well: small models take larger ones. */
const RATES = { tiny: 5e-3, others: 2e-4 } as const;

export const question = signal("What is this?");
export const examples = signal<readonly Example[]>([]);
export const settings = signal<Settings>({ steps: 100, rank: 16, learningRate: RATES.others });
export const run = signal<Run | undefined>(undefined);
/** Whether the adapter was downloaded. */
export const isSaved = signal(false);
export const isRunning = computed(() => run.value !== undefined && !["done", "failed"].includes(run.value.phase));
/** Examples with an answer: all others, and those that are held out for the test. */
export const labelled = computed(() => {
  const all = examples.value.filter(({ answer }) => answer.trim() !== "");
  const groups = [...new Set(all.map(({ answer }) => answer.trim()))].map((answer) =>
    all.filter((example) => example.answer.trim() === answer),
  );
  const often = groups.filter(({ length }) => length >= HELD_OUT);
  const others = groups.filter(({ length }) => length < HELD_OUT).flat();
  const held = new Set([...often, others].flatMap((group) => group.filter((_, i) => i % HELD_OUT === HELD_OUT - 1)));
  return { taught: all.filter((example) => !held.has(example)), held: [...held] };
});

let stopping: AbortController | undefined;

// What would be lost with the page.
effect(() => {
  const { phase, steps, losses } = run.value ?? { phase: "done", steps: 0, losses: [] };
  training.value = isRunning.value
    ? `Teaching: ${phase === "training" ? `step ${losses.length} of ${steps}` : "asking about the pictures of the test"}`
    : undefined;
});
addEventListener("beforeunload", (event) => {
  if (isRunning.value || (run.value?.files.length && !isSaved.value)) event.preventDefault();
});

// What was learnt belongs to the model.
effect(() => {
  void model.value;
  stopping?.abort();
  run.value = undefined;
  settings.value = { ...settings.peek(), learningRate: RATES[loadedChoice.value === TINY ? "tiny" : "others"] };
});

export function add(files: Iterable<File>): void {
  const pictures = [...files].filter(({ type }) => type.startsWith("image/"));
  examples.value = [...examples.value, ...pictures.map((file) => exampleOf(file))];
}

export function exampleOf(file: File, answer = ""): Example {
  return { id: crypto.randomUUID(), file, url: URL.createObjectURL(file), answer };
}

export function label(id: string, answer: string): void {
  examples.value = examples.value.map((example) => (example.id === id ? { ...example, answer } : example));
}

export function remove(id: string): void {
  for (const example of examples.value) if (example.id === id) URL.revokeObjectURL(example.url);
  examples.value = examples.value.filter((example) => example.id !== id);
}

export function clear(): void {
  for (const { id } of examples.value) remove(id);
  run.value = undefined;
}

/** Ends the run after the current step; what was learnt stays. */
export function stop(): void {
  stopping?.abort();
}

/** Trains an adapter on the examples, and compares answers about those that are held out before and after. */
export async function teach(): Promise<void> {
  const own = model.value;
  if (!own || isRunning.value) return;
  const controller = new AbortController();
  stopping = controller;
  const { steps, rank, learningRate } = settings.value;
  const { taught, held } = labelled.value;
  const report = (change: Partial<Run>): void => {
    if (stopping === controller && run.value) run.value = { ...run.value, ...change };
  };
  run.value = { phase: "asking", steps, losses: [], tested: [], files: [] };
  isSaved.value = false;
  try {
    const tested: Tested[] = [];
    for (const example of held) {
      tested.push({ example, before: await answerOf(own, example, [], controller.signal) });
      report({ tested: [...tested] });
    }
    report({ phase: "training" });
    const losses: number[] = [];
    const begun = performance.now();
    let adapter: string | undefined;
    for await (const step of own.train(taught.map(recordOf), { steps, learningRate, lora: { rank }, shuffle: true })) {
      losses.push(step.loss);
      adapter = step.adapter;
      const secondsLeft = ((performance.now() - begun) / 1000 / losses.length) * (steps - losses.length);
      report({ losses: [...losses], secondsLeft, adapter });
      if (losses.length < steps && !controller.signal.aborted) continue;
      const files: File[] = [];
      for await (const { name, chunks } of step.files()) {
        const parts: BlobPart[] = [];
        for await (const chunk of chunks) parts.push(new Uint8Array(chunk));
        files.push(new File(parts, name));
      }
      report({ files });
      break;
    }
    report({ phase: "checking" });
    for (const [i, { example }] of tested.entries()) {
      tested[i] = { ...tested[i]!, after: await answerOf(own, example, adapter === undefined ? [] : [adapter]) };
      report({ tested: [...tested] });
    }
    report({ phase: "done" });
  } catch (error) {
    if (controller.signal.aborted && run.value?.losses.length === 0) run.value = undefined;
    else report({ phase: "failed", error: shown(error) });
  }
}

export function isRight({ answer }: Example, said: string | undefined): boolean {
  return said === answer.trim();
}

/** Whether the conversation uses what was learnt. */
export function use(isUsed: boolean): void {
  const { adapter } = run.value ?? {};
  adapters.value = isUsed && adapter !== undefined ? [adapter] : [];
}

function recordOf(example: Example): TrainingRecord {
  return { messages: [questionOf(example), { role: "assistant", content: example.answer.trim() }] };
}

function questionOf({ file }: Example) {
  const text = { type: "text" as const, text: question.value };
  return { role: "user" as const, content: [{ type: "image" as const, image: file }, text] };
}

async function answerOf(
  own: WorkerModel,
  example: Example,
  selected: readonly string[],
  signal?: AbortSignal,
): Promise<string> {
  using session = own.createSession({ adapters: selected });
  const { text } = await session.generate([questionOf(example)], { maxNewTokens: CHECKED_TOKENS, signal }).result;
  return text.trim();
}
