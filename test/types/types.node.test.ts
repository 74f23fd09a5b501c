import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";
import { ROOT } from "../support/cli.js";

// The published declarations as programs meet them: by the package's name, with strict settings. api.ts must compile, and every misuse in
// misuse.ts must not.

const API = join(ROOT, "test/types/api.ts");
const MISUSE = join(ROOT, "test/types/misuse.ts");
const DIRECTIVE = "// @ts-expect-error";

const STRICT: ts.CompilerOptions = {
  strict: true,
  noEmit: true,
  noUncheckedIndexedAccess: true,
  noImplicitOverride: true,
  noPropertyAccessFromIndexSignature: true,
  target: ts.ScriptTarget.ES2022,
  lib: [
    "lib.es2023.d.ts",
    "lib.esnext.disposable.d.ts",
    "lib.dom.d.ts",
    "lib.dom.iterable.d.ts",
    "lib.dom.asynciterable.d.ts",
  ],
  types: ["@webgpu/types"],
  skipLibCheck: true,
};
const NODE = { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext };
const BUNDLER = { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler };

test.each([
  ["as Node resolves it", NODE],
  ["as bundlers resolve it", BUNDLER],
  ["with exactOptionalPropertyTypes", { ...NODE, exactOptionalPropertyTypes: true }],
  ["without exactOptionalPropertyTypes, declarations checked too", { ...BUNDLER, skipLibCheck: false }],
])("the package is used and misused: %s", (_, options) => {
  const { faults, program } = compiled([API, MISUSE], { ...STRICT, ...options });
  expect(faults).toEqual([]);
  const declarations = program.getSourceFiles().map(({ fileName }) => fileName);
  expect(declarations).toContain(join(ROOT, "dist/index.d.ts"));
  expect(declarations.filter((name) => name.startsWith(join(ROOT, "src/")))).toEqual([]);
});

test("each misuse is an error at its own line", () => {
  const text = readFileSync(MISUSE, "utf8");
  const wanted = text.split("\n").flatMap((line, i) => (line.trim().startsWith(DIRECTIVE) ? [i + 2] : []));
  const bare = text.replaceAll(DIRECTIVE, "// no longer expected:");
  const { faults } = compiled([MISUSE], { ...STRICT, ...NODE }, new Map([[MISUSE, bare]]));
  const lines = new Set(faults.map((fault) => Number(/:(\d+): /.exec(fault)?.[1])));
  expect([...lines].sort((a, b) => a - b)).toEqual(wanted);
  console.log(`${wanted.length} misuses, ${lines.size} errors`);
});

function compiled(
  files: string[],
  options: ts.CompilerOptions,
  replaced: ReadonlyMap<string, string> = new Map(),
): { faults: string[]; program: ts.Program } {
  const host = ts.createCompilerHost(options);
  const read = host.readFile.bind(host);
  host.readFile = (name) => replaced.get(name) ?? read(name);
  host.getCurrentDirectory = () => ROOT;
  const program = ts.createProgram(files, options, host);
  const faults = ts.getPreEmitDiagnostics(program).map((fault) => {
    const message = ts.flattenDiagnosticMessageText(fault.messageText, "\n");
    if (!fault.file || fault.start === undefined) return message;
    return `${fault.file.fileName}:${fault.file.getLineAndCharacterOfPosition(fault.start).line + 1}: ${message}`;
  });
  return { faults, program };
}
