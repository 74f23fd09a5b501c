import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";
import { ROOT } from "../support/cli.js";

// Every exported class has an example in its docstring, and all of them compile against the published declarations.

const { exports } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  exports: Record<string, { types?: string }>;
};
const ENTRIES = Object.entries(exports).flatMap(([path, { types }]) =>
  types ? [{ path, name: path.replace(/^\./, "ocellus"), file: join(ROOT, types) }] : [],
);

/** What examples may use without making it. */
const GIVEN = `
import { LlavaOneVision, type Session, OcellusError } from "ocellus";
import * as tensor from "ocellus/tensor";
import { Device, KVCache, Kernel, Linear, MLP, GatedMLP, RMSNorm, LayerNorm, Embedding, PatchEmbedding, Rotary } from "ocellus/tensor";
import { BidirectionalAttention, CausalAttention, WeightLoader, openCheckpoint, packMatrix, rmsNorm, swiglu } from "ocellus/tensor";
import { ChatCompletions, type ChatCompletionRequest, RequestError, Responses } from "ocellus/openai";
import { type PromptSession, QuotaExceededError } from "ocellus/prompt-api";
import { measurePeak, ModelBench } from "ocellus/bench";
import { JobQueue } from "ocellus/queue";
import { WorkerModel } from "ocellus/worker";
import { constrain, tokenBytes } from "ocellus/structure";
declare const model: LlavaOneVision, session: Session, workerModel: WorkerModel, worker: Worker, file: File, wgsl: string;
declare const tokenizerJson: string, logits: () => Float32Array;
declare const completions: ChatCompletions, responses: Responses, promptSession: PromptSession, output: HTMLElement;
declare const device: Device, weights: tensor.Weights, norm: RMSNorm, rotary: Rotary, cache: KVCache;
declare const x: tensor.Tensor, residual: tensor.Tensor, pixels: tensor.Tensor, levels: tensor.Tensor, weight: tensor.Tensor;
`;

const OPTIONS: ts.CompilerOptions = {
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts", "lib.dom.d.ts", "lib.dom.asynciterable.d.ts"],
  types: ["@webgpu/types"],
};

/** The exported classes of all entry points, by name, with the code of their examples. */
function examples(): Map<string, string[]> {
  const program = ts.createProgram(
    ENTRIES.map(({ file }) => file),
    OPTIONS,
  );
  const checker = program.getTypeChecker();
  const found = new Map<string, string[]>();
  for (const { file } of ENTRIES) {
    const entry = checker.getSymbolAtLocation(program.getSourceFile(file)!)!;
    for (const exported of checker.getExportsOfModule(entry)) {
      const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
      if (!(symbol.flags & ts.SymbolFlags.Class)) continue;
      const tags = symbol.getJsDocTags(checker).filter(({ name }) => name === "example");
      found.set(
        symbol.name,
        tags.map(({ text }) => /```ts\n([\s\S]*?)\n```/.exec(ts.displayPartsToString(text))?.[1] ?? ""),
      );
    }
  }
  return found;
}

test("every exported class has an example that compiles", () => {
  const found = examples();
  expect(found.size).toBeGreaterThan(40);
  const without = [...found].filter(([, codes]) => codes.length === 0 || codes.includes("")).map(([name]) => name);
  expect(without).toEqual([]);

  // Each example is a block of its own; an import of its own would repeat the given ones.
  const blocks = [...found].map(([name, codes]) => `// ${name}\n{\n${codes.join("\n}\n{\n")}\n}`);
  const text = `${GIVEN}${blocks.join("\n").replace(/^import .*$/gm, "")}`;
  const virtual = join(ROOT, "test/docs/examples-of-docstrings.ts");
  const host = ts.createCompilerHost(OPTIONS);
  const [read, exists] = [host.readFile.bind(host), host.fileExists.bind(host)];
  host.readFile = (name) => (name === virtual ? text : read(name));
  host.fileExists = (name) => name === virtual || exists(name);
  host.getCurrentDirectory = () => ROOT;
  const faults = ts.getPreEmitDiagnostics(ts.createProgram([virtual], OPTIONS, host)).map((fault) => {
    const line = fault.file && fault.start !== undefined ? lineAt(fault.file.text, fault.start) : "";
    return `${line.trim()}: ${ts.flattenDiagnosticMessageText(fault.messageText, "\n")}`;
  });
  expect(faults).toEqual([]);
});

function lineAt(text: string, at: number): string {
  return text.slice(text.lastIndexOf("\n", at - 1) + 1, text.indexOf("\n", at));
}

test("`ocellus` has what a user of the model needs, in at most 40 names", () => {
  const { file } = ENTRIES.find(({ path }) => path === ".")!;
  const program = ts.createProgram([file], OPTIONS);
  const checker = program.getTypeChecker();
  const names = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file)!)!);
  expect(names.length).toBeLessThanOrEqual(40);
});
