import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import {
  circles,
  folderOf,
  folderRows,
  readSources,
  type Source,
  sourceOf,
  tableFaults,
  target,
} from "./support/architecture.js";

// The rules of ARCHITECTURE.md on folders and direction: its table is compared with the import lines of src.

const ARCHITECTURE = readFileSync(new URL("../ARCHITECTURE.md", import.meta.url), "utf8");
const SRC = fileURLToPath(new URL("../src", import.meta.url));
const MAX_LINES = 400;
const MAY_BE_OF_ONE_RUNTIME = /^(platform|cli|server)\//;

/** Circles of files that are allowed, with all their files; ARCHITECTURE.md has the reasons. */
const ALLOWED_CIRCLES = [
  ["arena", "bind-groups", "bound-tensors", "device", "readback", "tensor"].map((name) => `runtime/${name}.ts`),
  ["automaton", "beginnings", "counted", "pattern-graph", "pattern", "shortest"].map((name) => `structure/${name}.ts`),
];

const sources = readSources(SRC);
const rows = folderRows(ARCHITECTURE);

/** The sources with a line added to one file. */
function withLine(name: string, line: string): Source[] {
  return sources.map((source) => (source.name === name ? sourceOf(name, `${line}\n${source.text}`) : source));
}

test("the sources and the table are read", () => {
  expect(sources.map(({ name }) => name)).toContain("platform/platform.ts");
  expect(rows.map(({ folder }) => folder)).toContain("models/llava-onevision");
  expect(rows.find(({ folder }) => folder === "kernels")?.mayImport).toEqual(["base", "runtime"]);
});

test("imports are those of the table, and each entry of the table is used and points to a row above", () => {
  expect(tableFaults(sources, rows)).toEqual([]);
});

test("one import against the table is a fault", () => {
  const upward = withLine("kernels/norm.ts", 'import type { Session } from "../models/chat/session.js";');
  expect(tableFaults(upward, rows)).toEqual(["kernels/norm.ts imports models/chat/session.ts"]);
  const behindTheDoor = withLine("layers/norm.ts", 'import { parseJson } from "../io/text/json.js";');
  expect(tableFaults(behindTheDoor, rows)).toEqual(["layers/norm.ts imports io/text/json.ts"]);
  const lazy = withLine("base/abort.ts", 'const later = () => import("../platform/platform.js");');
  expect(tableFaults(lazy, rows)).toEqual(["base/abort.ts imports platform/platform.ts"]);
});

test("an entry without an import, and one that points up, are faults", () => {
  const unused = rows.map((row) =>
    row.folder === "structure" ? { ...row, mayImport: [...row.mayImport, "kernels"] } : row,
  );
  expect(tableFaults(sources, unused)).toEqual(["structure -> kernels is not used"]);
  const upward = rows.map((row) => (row.folder === "base" ? { ...row, mayImport: ["cli"] } : row));
  expect(tableFaults(sources, upward)).toEqual(["base -> cli does not point to a row above"]);
  expect(tableFaults([...sources, sourceOf("attic/old.ts", "")], rows)).toEqual([
    "attic/old.ts is in no folder of the table",
  ]);
});

test("files import each other in no circle but the allowed ones", () => {
  expect(circles(sources)).toEqual(ALLOWED_CIRCLES);
});

test("a type import that closes a circle is found", () => {
  const closed = withLine("base/errors.ts", 'import type { OptionError as E } from "./options.js";');
  expect(circles(closed)).toContainEqual(expect.arrayContaining(["base/errors.ts", "base/options.ts"]));
  // An allowed one does not grow unseen.
  const grown = withLine("runtime/pool.ts", 'import type { Device as D } from "./device.js";');
  expect(circles(grown)).not.toEqual(ALLOWED_CIRCLES);
});

test("only platform, cli and server know the runtime", () => {
  const elsewhere = sources.filter(({ name }) => !MAY_BE_OF_ONE_RUNTIME.test(name));
  const wrong = elsewhere.flatMap(({ name, imports, globals }) => [
    ...imports.filter((specifier) => specifier.startsWith("node:")).map((specifier) => `${name} imports ${specifier}`),
    ...globals.map((global) => `${name} uses ${global}`),
  ]);
  expect(wrong).toEqual([]);
});

test("the platform is imported as #platform or through its interface", () => {
  const wrong = sources
    .filter(({ name }) => folderOf(name, rows) !== "platform")
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
