import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findPackage } from "../../src/platform/node-installed.js";
import { findChromiumPackage, unpackSwiftShader } from "../../src/platform/node-swiftshader.js";

// Packages of every layout are found by their names, whatever their entries and exports.

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "ocellus-installed-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function write(path: string, content: string | object): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), typeof content === "string" ? content : JSON.stringify(content));
}

const CHROMIUM = "@sparticuz/chromium";
const start = (): string => join(root, "package.json");

/** The package.json files of versions of `@sparticuz/chromium`, as published: oldest, module, two builds, newest. */
const LAYOUTS: readonly [version: string, json: object, entry: string][] = [
  ["92.0.0", { main: "build/index.js" }, "build/index.js"],
  ["135.0.0-next.0", { type: "module", exports: "./build/index.js" }, "build/index.js"],
  [
    "147.0.2",
    {
      type: "module",
      main: "./build/cjs/index.cjs",
      exports: { ".": { import: { default: "./build/esm/index.mjs" }, require: { default: "./build/cjs/index.cjs" } } },
    },
    "build/cjs/index.cjs",
  ],
  [
    "153.0.0",
    { type: "module", exports: { ".": { types: "./build/index.d.ts", default: "./build/index.js" } } },
    "build/index.js",
  ],
];

test.each(LAYOUTS)("@sparticuz/chromium %s is found", async (version, json, entry) => {
  const folder = `node_modules/${CHROMIUM}`;
  await write(`${folder}/package.json`, { name: CHROMIUM, version, ...json });
  await write(`${folder}/${entry}`, "");
  if (entry.includes("cjs")) await write(`${folder}/build/cjs/package.json`, { type: "commonjs" });
  expect(findPackage(CHROMIUM, [start()])).toEqual({ folder: join(root, folder), version });
  // Without SwiftShader it is of no use.
  expect(findChromiumPackage([start()])).toBeUndefined();
  await write(`${folder}/bin/swiftshader.tar.br`, "");
  const bin = join(root, folder, "bin");
  const supported = process.platform === "linux" && process.arch === "x64";
  expect(findChromiumPackage([start()])).toEqual(supported ? { bin, version } : undefined);
});

test("an archive without the library is named, with the command that installs one", async () => {
  await mkdir(join(root, "bin"));
  await writeFile(join(root, "bin/swiftshader.tar.br"), brotliCompressSync(new Uint8Array(1024)));
  const unpacking = unpackSwiftShader(
    { bin: join(root, "bin"), version: `0.0.0-test-${process.pid}` },
    { load: false },
  );
  await expect(unpacking).rejects.toThrow(/has no libvk_swiftshader\.so; run `npm install @sparticuz\/chromium@143`/);
});

test("packages that only `import` can load, links, and folders above are found", async () => {
  await write("node_modules/module-only/package.json", {
    name: "module-only",
    version: "1.2.3",
    exports: { import: "./a.js" },
  });
  await write("store/linked/package.json", { name: "linked", version: "4.5.6" });
  await symlink(join(root, "store/linked"), join(root, "node_modules/linked"), "junction");
  await mkdir(join(root, "app/deep"), { recursive: true });
  const from = [join(root, "app/deep/package.json")];
  expect(findPackage("module-only", from)?.version).toBe("1.2.3");
  expect(findPackage("linked", from)?.version).toBe("4.5.6");
});

test("the first place that has the package counts", async () => {
  await write("one/node_modules/twice/package.json", { name: "twice", version: "1.0.0" });
  await write("two/node_modules/twice/package.json", { name: "twice", version: "2.0.0" });
  const from = (...folders: string[]) => folders.map((folder) => join(root, folder, "package.json"));
  expect(findPackage("twice", from("none", "two", "one"))?.version).toBe("2.0.0");
  expect(findPackage("twice", from("one", "two"))?.version).toBe("1.0.0");
});

test.each<[string, string | object]>([
  ["no package.json", ""],
  ["one that is not JSON", "{"],
  ["one of another package", { name: "other", version: "1.0.0" }],
])("a folder of the name with %s is no package", async (_, json) => {
  await write("node_modules/absent/index.js", "");
  if (json) await write("node_modules/absent/package.json", json);
  expect(findPackage("absent", [start()])).toBeUndefined();
});
