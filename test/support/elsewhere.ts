import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { Device } from "../../src/runtime/device.js";
import { ADAPTERS, forge } from "./adapter-facts.js";
import { checkpointFiles, TINY } from "./checkpoint.js";
import { readFixture, readFixtureJson } from "./fixture.js";
import { goldenFaults, goldenIndex } from "./golden-case.js";

// A program that is bundled and run where the test runner does not: in Deno and in Firefox. It sends one report.

/** What the program found. */
export interface Report {
  /** Name of the adapter, and why it was chosen. */
  readonly adapter: string;
  readonly onCPU: boolean;
  readonly reasons: readonly string[];
  /** The embedded checkpoint's answer to its first example, and the reference's. */
  readonly answer: string;
  readonly referenceAnswer: string;
  /** Speed of the same answer when its kernels are compiled, and of a long one. */
  readonly short: Speed;
  readonly long: Speed;
  /** What differs from the reference, by golden case: with the adapter's own kernels, and with those of GPUs. */
  readonly goldens: Readonly<Record<string, readonly string[]>>;
  readonly onGPUKernels: Readonly<Record<string, readonly string[]>>;
  /** Why the program ended early. */
  readonly error?: string;
}

export interface Speed {
  readonly firstTokenSeconds: number;
  /** After the first token. */
  readonly tokensPerSecond: number;
}

/** Golden cases: by checkpoint, or "all". */
export type Wanted = Readonly<Record<string, readonly string[]>> | "all";

/** Of the long answer; a speed that is to be published takes more. */
const LONG_TOKENS = 24;
const PUBLISHED_LONG_TOKENS = 160;

/** Runs the embedded checkpoint and golden cases on the platform's own adapter. Every case that is done is a line for `log`. */
export async function report(wanted: Wanted, log: (line: string) => void): Promise<Report> {
  const device = await Device.open();
  const own = device.facts;
  const { name, onCPU, reasons } = own;
  const tiny = await askTiny(device, wanted === "all" ? PUBLISHED_LONG_TOKENS : LONG_TOKENS);
  forge(device, ADAPTERS["GPU, no subgroups"]!);
  const onGPUKernels = await goldensOn(device, wanted, (line) => log(`${line}, kernels of GPUs`));
  forge(device, own);
  const goldens = await goldensOn(device, wanted, (line) => log(`${line}, its own kernels`));
  device.dispose();
  return { adapter: name, onCPU, reasons, ...tiny, goldens, onGPUKernels };
}

async function goldensOn(
  device: Device,
  wanted: Wanted,
  log: (line: string) => void,
): Promise<Record<string, readonly string[]>> {
  const { steps, models } = await goldenIndex();
  const faults: Record<string, readonly string[]> = {};
  for (const [folder, cases] of Object.entries(wanted === "all" ? models : wanted)) {
    const model = await LlavaOneVision.load(await checkpointFiles(`goldens/${folder}`), { device });
    for (const name of cases) {
      const begunAt = performance.now();
      const own = await goldenFaults(model, folder, name, steps);
      faults[`${folder}/${name}`] = own;
      const seconds = ((performance.now() - begunAt) / 1000).toFixed(1);
      log(`${folder}/${name}: ${own.length === 0 ? "the reference's" : own.join("; ")}, ${seconds} s`);
    }
    model.dispose();
  }
  return faults;
}

/** The question, of a picture with one shape, whose answer has eight tokens. */
const QUESTION = "What do you see?";

interface Example {
  kind: string;
  files: string[];
  turns: { question: string; reference_answer: string }[];
}

async function askTiny(
  device: Device,
  longTokens: number,
): Promise<Pick<Report, "answer" | "referenceAnswer" | "short" | "long">> {
  const { examples } = await readFixtureJson<{ examples: Example[] }>(`${TINY}/examples/examples.json`);
  const { files, turns } = examples.find(({ kind }) => kind === "shapes")!;
  const referenceAnswer = turns.find(({ question }) => question === QUESTION)!.reference_answer;
  const image = await readFixture(`${TINY}/examples/${files[0]}`);
  const model = await LlavaOneVision.load(await checkpointFiles(TINY), { device });
  const ask = async (options: { maxNewTokens?: number; minNewTokens?: number }) => {
    const session = model.createSession();
    const begunAt = performance.now();
    const content = [
      { type: "image" as const, image },
      { type: "text" as const, text: QUESTION },
    ];
    const answer = session.generate([{ role: "user", content }], options);
    let firstAt = 0;
    for await (const _ of answer) firstAt ||= performance.now();
    const { text, tokens } = await answer.result;
    const decodeSeconds = (performance.now() - firstAt) / 1000;
    session.dispose();
    return {
      text,
      firstTokenSeconds: (firstAt - begunAt) / 1000,
      tokensPerSecond: (tokens.length - 1) / decodeSeconds,
    };
  };
  const { text: answer } = await ask({});
  const { text: _short, ...short } = await ask({});
  const { text: _long, ...long } = await ask({ minNewTokens: longTokens, maxNewTokens: longTokens });
  model.dispose();
  return { answer, referenceAnswer, short, long };
}
