// Compiles src to dist: `npm run build`. The declarations must compile where neither @webgpu/types nor the DOM's types are installed, so
// each imports the types of the web platform that it uses from base/web-types, and asks for the library that has `Symbol.dispose`. No
// source maps: the package does not have the sources, and the compiled files are as readable.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("../", import.meta.url));
const dist = join(root, "dist");
const webTypes = join(dist, "base/web-types.js");

/** The names that base/web-types.ts exports. */
const names = new Set(
  [...readFileSync(join(root, "src/base/web-types.ts"), "utf8").matchAll(/^export type (\w+)/gm)].map(
    ([, name]) => name,
  ),
);

/** The names that a file imports or declares, and the types that it refers to by an unqualified name. */
function namesIn(text) {
  const file = ts.createSourceFile("x.d.ts", text, ts.ScriptTarget.Latest, true);
  const own = new Set();
  const used = new Set();
  const visit = (node) => {
    const { name } = node;
    if (name && ts.isIdentifier(name) && (ts.isImportSpecifier(node) || ts.isTypeAliasDeclaration(node)))
      own.add(name.text);
    if (name && ts.isIdentifier(name) && (ts.isInterfaceDeclaration(node) || ts.isClassDeclaration(node)))
      own.add(name.text);
    if (ts.isTypeReferenceNode(node) && ts.isIdentifier(node.typeName)) used.add(node.typeName.text);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return { own, used };
}

function declaration(path, text) {
  const { own, used } = namesIn(text);
  const imported = [...used].filter((name) => names.has(name) && !own.has(name)).sort();
  const from = relative(dirname(path), webTypes).replaceAll("\\", "/");
  const lines = [
    ...(/\bSymbol\.(dispose|asyncDispose)\b|\bDisposable\b/.test(text)
      ? ['/// <reference lib="esnext.disposable" />']
      : []),
    ...(imported.length > 0
      ? [`import type { ${imported.join(", ")} } from "${from.startsWith(".") ? from : `./${from}`}";`]
      : []),
  ];
  // Before 5.7, TypeScript's typed arrays had no parameter.
  return [...lines, text.replace(/\b(\w+Array)<ArrayBuffer(?:Like)?>/g, "$1")].join("\n");
}

/** A file of kernels without the comments and the indentation of its WGSL: a tenth of what a page fetches. Lines keep their numbers. */
function withoutShaderComments(text) {
  const file = ts.createSourceFile("x.js", text, ts.ScriptTarget.Latest, true);
  const pieces = [];
  const visit = (node) => {
    const { kind } = node;
    if (kind >= ts.SyntaxKind.FirstTemplateToken && kind <= ts.SyntaxKind.LastTemplateToken) pieces.push(node);
    ts.forEachChild(node, visit);
  };
  visit(file);
  let result = "";
  let at = 0;
  for (const piece of pieces) {
    const wgsl = piece.getText(file);
    if (/\/\/[^\n]*\$\{$/.test(wgsl)) throw new Error(`a comment of WGSL has a placeholder: ${wgsl.slice(-80)}`);
    result += text.slice(at, piece.getStart(file));
    const end = wgsl.endsWith("${") ? 2 : 1;
    result += wgsl
      .slice(0, -end)
      .replaceAll(/[ \t]*\/\/[^\n]*/g, "")
      .replaceAll(/\n[ \t]+/g, "\n");
    result += wgsl.slice(-end);
    at = piece.getEnd();
  }
  return result + text.slice(at);
}

const config = ts.getParsedCommandLineOfConfigFile(
  join(root, "tsconfig.build.json"),
  {},
  { ...ts.sys, onUnRecoverableConfigFileDiagnostic: fail },
);
rmSync(dist, { recursive: true, force: true });
const program = ts.createProgram(config.fileNames, config.options);
const emitted = program.emit(undefined, (path, text) => {
  mkdirSync(dirname(path), { recursive: true });
  const isKernel = dirname(path) === join(dist, "kernels");
  writeFileSync(path, path.endsWith(".d.ts") ? declaration(path, text) : isKernel ? withoutShaderComments(text) : text);
});
const faults = [...config.errors, ...ts.getPreEmitDiagnostics(program), ...emitted.diagnostics];
if (faults.length > 0) fail(...faults);

function fail(...faults) {
  const host = { getCurrentDirectory: () => root, getCanonicalFileName: (name) => name, getNewLine: () => "\n" };
  process.stderr.write(ts.formatDiagnostics(faults, host));
  process.exit(1);
}
