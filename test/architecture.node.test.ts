import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

// The rules of ARCHITECTURE.md on folders and direction, read off the import lines.

const SRC = fileURLToPath(new URL("../src", import.meta.url));
const MAX_LINES = 400;

/** Folder → the folders its files may import from, itself aside. `index` is src/index.ts. */
const ARROWS: Record<string, readonly string[]> = {
  index: ["models", "io", "layers", "kernels", "runtime", "platform"],
  bench: ["models", "io", "layers", "kernels", "runtime", "platform"],
  cli: ["server", "openai", "index", "bench", "models", "io", "layers", "kernels", "runtime", "platform"],
  worker: ["models", "io", "runtime", "platform"],
  server: ["openai", "models", "runtime"],
  openai: ["models", "runtime"],
  models: ["layers", "structure", "io", "kernels", "runtime", "platform"],
  layers: ["kernels", "runtime", "platform"],
  kernels: ["runtime", "platform"],
  runtime: ["platform"],
  structure: ["io", "runtime"],
  io: ["platform"],
  platform: [],
};

/** Files that may be imported from where the folder may not: faults are typed and options checked everywhere, weights become tensors. */
const EXCEPTIONS: readonly { from: RegExp; to: RegExp }[] = [
  { from: /^(platform|io)\//, to: /^runtime\/errors\.ts$/ },
  { from: /^io\//, to: /^runtime\/options\.ts$/ },
  { from: /^io\/weights\.ts$/, to: /^runtime\// },
  { from: /^layers\//, to: /^io\/weights\.ts$/ },
];

/** Names of one runtime: Node's modules and globals, and the browser's. */
const RUNTIME_GLOBALS = new Set(["process", "navigator", "document", "Buffer"]);
const MAY_BE_OF_ONE_RUNTIME = /^(platform|cli|server)\//;

interface Source {
  name: string;
  text: string;
  imports: string[];
  globals: string[];
}

const sources: Source[] = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .map((name) => name.replaceAll("\\", "/"))
  .filter((name) => name.endsWith(".ts"))
  .map((name) => {
    const text = readFileSync(join(SRC, name), "utf8");
    return { name, text, ...scan(name, text) };
  });

/** Imported modules (static, dynamic and type-only), and runtime globals in use as values. */
function scan(name: string, text: string): { imports: string[]; globals: string[] } {
  const imports: string[] = [];
  const globals: string[] = [];
  const visit = (node: ts.Node): void => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier) {
      imports.push((node.moduleSpecifier as ts.StringLiteral).text);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      imports.push((node.argument.literal as ts.StringLiteral).text);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [target] = node.arguments;
      imports.push(target && ts.isStringLiteralLike(target) ? target.text : "<computed>");
    } else if (ts.isIdentifier(node) && RUNTIME_GLOBALS.has(node.text) && isGlobal(node)) {
      globals.push(node.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(name, text, ts.ScriptTarget.ES2022, true));
  return { imports, globals };
}

/** False for names of members and parameters that happen to be spelt alike, e.g. `this.process` or `{ document: 1 }`. */
function isGlobal(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) return isGlobalThis(parent.expression);
  const declares = parent as { name?: ts.Node };
  return declares.name !== node;
}

function isGlobalThis(node: ts.Expression): boolean {
  return ts.isIdentifier(node) && node.text === "globalThis";
}

function folderOf(name: string): string {
  return name.includes("/") ? name.slice(0, name.indexOf("/")) : name.replace(/\.ts$/, "");
}

/** The file in src that an import means; undefined for packages. */
function target(from: string, specifier: string): string | undefined {
  if (specifier === "#platform") return "platform/platform.ts";
  if (!specifier.startsWith(".")) return undefined;
  return relative(SRC, join(SRC, dirname(from), specifier))
    .replaceAll("\\", "/")
    .replace(/\.js$/, ".ts");
}

function mayImport(from: string, to: string): boolean {
  const [a, b] = [folderOf(from), folderOf(to)];
  if (a === b && from.includes("/")) return true;
  return (ARROWS[a] ?? []).includes(b) || EXCEPTIONS.some((rule) => rule.from.test(from) && rule.to.test(to));
}

test("the source is read", () => {
  expect(sources.map(({ name }) => name)).toContain("platform/platform.ts");
});

test("imports point one way", () => {
  const wrong = sources.flatMap(({ name, imports }) =>
    imports.flatMap((specifier) => {
      const to = target(name, specifier);
      return to !== undefined && !mayImport(name, to) ? [`${name} -> ${to}`] : [];
    }),
  );
  expect(wrong).toEqual([]);
});

test("every folder of src has its arrows", () => {
  const unknown = sources.map(({ name }) => folderOf(name)).filter((folder) => !(folder in ARROWS));
  expect([...new Set(unknown)]).toEqual([]);
});

test("only platform and cli know the runtime", () => {
  const elsewhere = sources.filter(({ name }) => !MAY_BE_OF_ONE_RUNTIME.test(name));
  const wrong = elsewhere.flatMap(({ name, imports, globals }) => [
    ...imports.filter((specifier) => specifier.startsWith("node:")).map((specifier) => `${name} imports ${specifier}`),
    ...globals.map((global) => `${name} uses ${global}`),
  ]);
  expect(wrong).toEqual([]);
});

test("the platform is imported as #platform or through its interface", () => {
  const wrong = sources
    .filter(({ name }) => folderOf(name) !== "platform")
    .flatMap(({ name, imports }) => imports.map((specifier) => `${name} -> ${target(name, specifier) ?? ""}`))
    .filter((arrow) => /-> platform\/(?!platform\.ts$)/.test(arrow));
  expect(wrong).toEqual([]);
});

test("files have a name that says what they hold, and a length that can be read", () => {
  const vague = sources.filter(({ name }) => /(^|\/)(utils?|misc|common|helpers?)\.ts$/.test(name));
  expect(vague.map(({ name }) => name)).toEqual([]);
  const long = sources.filter(({ text }) => text.split("\n").length > MAX_LINES + 1);
  expect(long.map(({ name, text }) => `${name}: ${text.split("\n").length - 1} lines`)).toEqual([]);
});
