import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import ts from "typescript";
import { ROOT } from "./cli.js";
import { type CodeBlock, codeBlocks, inPlace } from "./code-blocks.js";
import type { DocsFolder } from "./docs-folder.js";

/**
 * The README and the guides. What they show is run as a reader would run it: all `ts` and `js` blocks of a page are one program, in
 * their order, but for those whose fence names a file (` ```ts worker.ts `), which are that file; commands run beside them, in a folder
 * with the files that the pages speak of. Nothing is put before or between the blocks.
 */
export interface Page {
  /** Relative to the checkout. */
  readonly name: string;
  /** Its program, without extension. */
  readonly program: string;
  readonly blocks: readonly CodeBlock[];
}

const GUIDES = readdirSync(join(ROOT, "docs/guides")).filter((name) => name.endsWith(".md"));

export const PAGES: readonly Page[] = ["README.md", ...GUIDES.sort().map((name) => `docs/guides/${name}`)].map(
  (name) => ({
    name,
    program: basename(name, ".md").toLowerCase(),
    blocks: codeBlocks(readFileSync(join(ROOT, name), "utf8")),
  }),
);

/** The page of that name. */
export function pageOf(name: string): Page {
  const page = PAGES.find((page) => page.name === name);
  if (!page) throw new Error(`there is no page ${name}`);
  return page;
}

/**
 * Writes a page's program and files; `edit` changes what cannot be used as it stands (a port that is taken).
 * Returns the TypeScript among them.
 */
export function writePage(page: Page, folder: DocsFolder, edit = (text: string): string => text): string[] {
  const files = new Map<string, CodeBlock[]>();
  for (const block of page.blocks) {
    const inProgram = block.language === "ts" || block.language === "js";
    const name = block.file ?? (inProgram ? `${page.program}.ts` : undefined);
    if (name !== undefined) files.set(name, [...(files.get(name) ?? []), block]);
  }
  const written = [...files].map(([name, blocks]) => {
    const inProgram = blocks[0]!.file === undefined || name.endsWith(".ts");
    const text = inProgram ? inPlace(blocks) : `${blocks.map(({ lines }) => lines.join("\n")).join("\n")}\n`;
    return folder.write(name, edit(text));
  });
  return written.filter((path) => path.endsWith(".ts"));
}

/** The project's own settings, but that a page may show what it does not use; modules are found from where the file lies. */
function settings(): ts.CompilerOptions {
  const read = ts.readConfigFile(join(ROOT, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(read.config, ts.sys, ROOT);
  const { paths: _paths, rootDir: _rootDir, configFilePath: _configFilePath, ...strict } = options;
  return {
    ...strict,
    noUnusedLocals: false,
    exactOptionalPropertyTypes: true,
    noEmit: false,
    declaration: false,
    typeRoots: [join(ROOT, "node_modules/@types")],
    types: ["node", join(ROOT, "node_modules/@webgpu/types")],
  };
}

/** Compiles files to JavaScript beside them. Returns what is wrong with them: file, line and message. */
export function compile(files: readonly string[]): string[] {
  const program = ts.createProgram(files, settings());
  program.emit();
  return ts.getPreEmitDiagnostics(program).map((fault) => {
    const line =
      fault.file && fault.start !== undefined ? fault.file.getLineAndCharacterOfPosition(fault.start).line : -1;
    const where = fault.file ? `${basename(fault.file.fileName)}:${line + 1}` : "settings";
    return `${where}: ${ts.flattenDiagnosticMessageText(fault.messageText, "\n")}`;
  });
}
