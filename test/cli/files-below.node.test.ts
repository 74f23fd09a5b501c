import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { filesBelow } from "../../src/cli/files-below.js";

let parent: string;
beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), "ocellus-files-below-"));
  await mkdir(join(parent, "in/more"), { recursive: true });
  await writeFile(join(parent, "secret"), "x");
  await writeFile(join(parent, "in/more/a.png"), "picture");
  await symlink(join(parent, "secret"), join(parent, "in/link"));
});
afterAll(() => rm(parent, { recursive: true }));

const read = (path: string) =>
  filesBelow(join(parent, "in"))(path, { param: "image_url", signal: new AbortController().signal });

test("a file below the folder is read", async () => {
  expect(new TextDecoder().decode(await read("more/a.png"))).toBe("picture");
});

test.each(["../secret", "link", "more", "none.png", "http://example.com/a.png"])("%s is refused", async (path) => {
  await expect(read(path)).rejects.toThrow(
    /^image_url: expected a data: URL, or a file below .*, got .* — give a path/,
  );
});
