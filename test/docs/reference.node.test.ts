import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Application, LogLevel, type ProjectReflection, ReflectionKind } from "typedoc";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ROOT } from "../support/cli.js";

// The reference in docs/api is what `npm run docs` makes of the source as it is, and every exported name has its sentence there.

const REFERENCE = join(ROOT, "docs/api");
/** What each of them does is said by its name. */
const SPEAKING = /^(\[\w+\]|dispose|toString)$/;
const NAMES =
  ReflectionKind.Class |
  ReflectionKind.Interface |
  ReflectionKind.TypeAlias |
  ReflectionKind.Variable |
  ReflectionKind.Function |
  ReflectionKind.Method;

let folder: string;
let project: ProjectReflection;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ocellus-reference-"));
  const app = await Application.bootstrapWithPlugins({
    options: join(ROOT, "typedoc.config.js"),
    out: folder,
    logLevel: LogLevel.Error,
  });
  const converted = await app.convert();
  if (!converted) throw new Error("typedoc has found nothing");
  project = converted;
  await app.generateOutputs(project);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("every exported name has a docstring", () => {
  const silent = project
    .getReflectionsByKind(NAMES)
    .filter(({ name, flags }) => !SPEAKING.test(name) && !flags.isPrivate && !flags.isInherited)
    .filter((reflection) => {
      const { signatures = [] } = reflection as { signatures?: { hasComment(): boolean }[] };
      return !reflection.hasComment() && !signatures.some((signature) => signature.hasComment());
    })
    .map((reflection) => reflection.getFullName())
    .filter((name) => !name.includes("__type"));
  expect(silent).toEqual([]);
});

test("docs/api is up to date: `npm run docs` writes it", async () => {
  const [made, kept] = await Promise.all([filesOf(folder), filesOf(REFERENCE)]);
  expect([...kept.keys()]).toEqual([...made.keys()]);
  for (const [name, text] of made) expect(kept.get(name), `${name}: run \`npm run docs\``).toBe(text);
});

test("the reference knows nothing of this machine", async () => {
  for (const [name, text] of await filesOf(folder)) {
    expect(text, name).not.toContain(ROOT);
    expect(text, name).not.toMatch(/\b20\d\d-\d\d-\d\d\b/);
  }
});

async function filesOf(folder: string): Promise<Map<string, string>> {
  const names = await readdir(folder, { recursive: true });
  const pages = names.filter((name) => name.endsWith(".md")).sort();
  return new Map(
    await Promise.all(pages.map(async (name) => [name, await readFile(join(folder, name), "utf8")] as const)),
  );
}
