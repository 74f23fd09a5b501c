import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import installed from "typescript";
import { expect, test } from "vitest";
import { ROOT } from "../support/cli.js";

// What programs need to compile against the package, with the declarations of the package checked too: neither the DOM's types nor those of
// Node or WebGPU, and no newer TypeScript than 5.4. `npm run ecosystem types` has every version between.

const PROGRAM = join(ROOT, "test/types/without-web.ts");
const OURS = [PROGRAM, join(ROOT, "dist/"), join(ROOT, "src/")];
const oldest = createRequire(join(ROOT, "test/types/oldest-typescript/package.json"))("typescript") as typeof installed;

test.each<[string, typeof installed, lib: string[], types: string[]]>([
  ["the oldest TypeScript, nothing else", oldest, ["es2022"], []],
  ["the oldest TypeScript, DOM", oldest, ["es2022", "dom"], []],
  ["the installed TypeScript, nothing else", installed, ["es2022"], []],
  ["the installed TypeScript, Node", installed, ["es2022"], ["node"]],
])("a strict program compiles with %s", (_, ts, lib, types) => {
  const program = ts.createProgram([PROGRAM], {
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: lib.map((name) => `lib.${name}.d.ts`),
    types,
  });
  // The libraries' own declarations are not ours to check.
  const ours = program.getSourceFiles().filter(({ fileName }) => OURS.some((folder) => fileName.startsWith(folder)));
  const found = ours.flatMap((file) => [
    ...program.getSyntacticDiagnostics(file),
    ...program.getSemanticDiagnostics(file),
  ]);
  const faults = [...program.getGlobalDiagnostics(), ...found].map(({ file, messageText }) => {
    return `${file?.fileName ?? ""}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
  });
  expect(faults).toEqual([]);
  const files = ours.map(({ fileName }) => fileName);
  expect(files).toContain(join(ROOT, "dist/index.d.ts"));
  expect(files.filter((name) => name.startsWith(join(ROOT, "src/")))).toEqual([]);
  expect(ts.version).toMatch(ts === oldest ? /^5\.4\./ : /^5\.9\./);
});

test("no file of the package refers to a source map", () => {
  const names = readdirSync(join(ROOT, "dist"), { recursive: true, encoding: "utf8" });
  expect(names.filter((name) => name.endsWith(".map"))).toEqual([]);
  const texts = names
    .filter((name) => /\.(js|d\.ts)$/.test(name))
    .map((name) => readFileSync(join(ROOT, "dist", name), "utf8"));
  expect(texts.filter((text) => text.includes("sourceMappingURL"))).toEqual([]);
});
