import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { NewFolder } from "../../src/cli/new-folder.js";

const root = mkdtempSync(join(tmpdir(), "ocellus-folder-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function* text(content: string): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode(content);
}

async function save(path: string, content: string, replace: boolean): Promise<void> {
  const folder = await NewFolder.beside(path, replace);
  await folder.write("config.json", text(content), () => {});
  await folder.finish();
}

const content = (path: string): string => readFileSync(join(path, "config.json"), "utf8");

test("a folder is replaced as a whole, and nothing stays beside it", async () => {
  const path = join(root, "whole");
  await save(path, "one", false);
  await expect(save(path, "two", false)).rejects.toThrow("expected a folder that does not exist yet, got a folder");
  const unfinished = await NewFolder.beside(path, true);
  await unfinished.write("config.json", text("half"), () => {});
  expect(content(path)).toBe("one");
  await save(path, "two", true);
  expect(content(path)).toBe("two");
  expect(readdirSync(root)).toEqual(["whole"]);
});

test("a folder whose process ended between the renames is there again", async () => {
  const path = join(root, "killed");
  await save(path, "one", false);
  mkdirSync(`${path}.partial`);
  writeFileSync(join(`${path}.partial`, "config.json"), "two");
  renameSync(path, `${path}.replaced`);
  const folder = await NewFolder.beside(path, true);
  expect(content(path)).toBe("one");
  await folder.abandon();
  // After both renames the new one counts.
  mkdirSync(`${path}.replaced`);
  await save(path, "three", true);
  expect(content(path)).toBe("three");
  expect(readdirSync(root).filter((name) => name.startsWith("killed"))).toEqual(["killed"]);
});
