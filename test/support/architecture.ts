import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import ts from "typescript";

/** A source file: its path in src, its imports, and the globals of one runtime that it uses. */
export interface Source {
  readonly name: string;
  readonly text: string;
  /** Specifiers as written: static, dynamic and type-only. */
  readonly imports: readonly string[];
  readonly globals: readonly string[];
}

/** A row of ARCHITECTURE.md's table of folders. */
export interface FolderRow {
  readonly folder: string;
  readonly mayImport: readonly string[];
}

/** Names of one runtime: Node's modules and globals, and the browser's. */
const RUNTIME_GLOBALS = new Set(["process", "navigator", "document", "Buffer"]);

export function readSources(folder: string): Source[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => name.replaceAll("\\", "/"))
    .filter((name) => name.endsWith(".ts"))
    .map((name) => sourceOf(name, readFileSync(join(folder, name), "utf8")));
}

export function sourceOf(name: string, text: string): Source {
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
  return { name, text, imports, globals };
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

/** Reads the table of folders: rows of three cells, the first in code style, the third a list. */
export function folderRows(markdown: string): FolderRow[] {
  const from = markdown.indexOf("## Folders and direction");
  const section = markdown.slice(from, markdown.indexOf("\n## ", from + 1));
  return section.split("\n").flatMap((line) => {
    const [, folder, list] = /^\| `([\w/-]+)` \| .* \| ?(.*) \|$/.exec(line) ?? [];
    if (folder === undefined) return [];
    return [{ folder, mayImport: list ? list.split(",").map((name) => name.trim()) : [] }];
  });
}

/** The folder of the table that a file is in: the longest that its path begins with; `src/index.ts` is `index`. */
export function folderOf(name: string, rows: readonly FolderRow[]): string | undefined {
  const path = name.includes("/") ? dirname(name) : name.replace(/\.ts$/, "");
  const matches = rows.map(({ folder }) => folder).filter((folder) => path === folder || path.startsWith(`${folder}/`));
  return matches.sort((a, b) => b.length - a.length)[0];
}

/** The file that an import means, as a path in src; undefined for packages. */
export function target(from: string, specifier: string): string | undefined {
  if (specifier === "#platform") return "platform/platform.ts";
  if (!specifier.startsWith(".")) return undefined;
  return relative("/", join("/", dirname(from), specifier))
    .replaceAll("\\", "/")
    .replace(/\.js$/, ".ts");
}

/** What contradicts the table, one line each. */
export function tableFaults(sources: readonly Source[], rows: readonly FolderRow[]): string[] {
  const order = rows.map(({ folder }) => folder);
  const faults: string[] = [];
  const used = new Set<string>();
  for (const { name, imports } of sources) {
    const from = folderOf(name, rows);
    if (from === undefined) faults.push(`${name} is in no folder of the table`);
    for (const specifier of imports) {
      const file = target(name, specifier);
      const to = file === undefined ? undefined : folderOf(file, rows);
      if (from === undefined || to === undefined || from === to) continue;
      used.add(`${from} -> ${to}`);
      if (!rows[order.indexOf(from)]!.mayImport.includes(to)) faults.push(`${name} imports ${file}`);
    }
  }
  for (const { folder, mayImport } of rows) {
    for (const other of mayImport) {
      if (order.indexOf(other) < 0 || order.indexOf(other) >= order.indexOf(folder)) {
        faults.push(`${folder} -> ${other} does not point to a row above`);
      } else if (!used.has(`${folder} -> ${other}`)) faults.push(`${folder} -> ${other} is not used`);
    }
  }
  return faults;
}

/** Circles of files: the strongly connected components of the imports (Tarjan's algorithm), sorted. */
export function circles(sources: readonly Source[]): string[][] {
  const arrows = new Map(
    sources.map(({ name, imports }) => [name, imports.flatMap((specifier) => target(name, specifier) ?? [])]),
  );
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (name: string): void => {
    index.set(name, index.size);
    low.set(name, index.get(name)!);
    stack.push(name);
    for (const to of arrows.get(name)!) {
      if (!arrows.has(to)) continue;
      if (!index.has(to)) {
        visit(to);
        low.set(name, Math.min(low.get(name)!, low.get(to)!));
      } else if (stack.includes(to)) low.set(name, Math.min(low.get(name)!, index.get(to)!));
    }
    if (low.get(name) !== index.get(name)) return;
    const members = stack.splice(stack.indexOf(name)).sort();
    if (members.length > 1) found.push(members);
  };
  for (const name of arrows.keys()) if (!index.has(name)) visit(name);
  return found.sort();
}
