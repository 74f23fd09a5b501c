import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { publint } from "publint";
import { afterAll, beforeAll, expect, test } from "vitest";
import { OPTIONAL_PACKAGES } from "../src/base/optional-packages.js";
import { ROOT } from "./support/cli.js";

// What is published: the packages' files, their fields, and the optional packages.

interface PackageJson {
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies?: object;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>;
}

const json = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as PackageJson;
const MOST_BYTES = 2_000_000;

let folder = "";
let packed: { readonly filename: string; readonly size: number; readonly files: readonly { readonly path: string }[] };
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ocellus-pack-"));
  const command = ["pack", "--json", "--ignore-scripts", "--pack-destination", folder];
  const windows = process.platform === "win32";
  const { stdout } = await promisify(execFile)(windows ? "npm.cmd" : "npm", command, { cwd: ROOT, shell: windows });
  packed = (JSON.parse(stdout) as (typeof packed)[])[0]!;
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("the package is small and has neither models, sources nor source maps", () => {
  expect(packed.size).toBeLessThan(MOST_BYTES);
  const paths = packed.files.map(({ path }) => path);
  for (const path of ["dist/index.js", "dist/index.d.ts", "dist/cli/main.js"]) expect(paths).toContain(path);
  const others = paths.filter((path) => !/^dist\/.*\.(js|d\.ts)$/.test(path)).sort();
  expect(others).toEqual(["ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", "NOTICE", "README.md", "package.json"]);
});

test("publint has no complaints about the packed files", async () => {
  const { buffer } = new Uint8Array(await readFile(join(folder, packed.filename)));
  expect((await publint({ pack: { tarball: buffer } })).messages).toEqual([]);
  expect((await publint({ pkgDir: join(ROOT, "models/tiny"), pack: false })).messages).toEqual([]);
});

test("every entry point exists", () => {
  const files = Object.values(json.exports).flatMap((entry) =>
    typeof entry === "string" ? [entry] : [entry.types, entry.default],
  );
  expect(files.filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
});

test("no install needs native code: the packages that have it are optional peers, and doctor knows each", () => {
  expect(json.optionalDependencies).toBeUndefined();
  expect(Object.keys(json.peerDependencies).sort()).toEqual(Object.keys(OPTIONAL_PACKAGES).sort());
  for (const name of Object.keys(json.peerDependencies)) {
    expect(json.peerDependenciesMeta[name], name).toEqual({ optional: true });
    expect(json.dependencies[name]).toBeUndefined();
  }
  // The commands name versions within the ranges.
  expect(json.peerDependencies["@napi-rs/webcodecs"]).toBe("^1.3.1");
  expect(json.peerDependencies["@sparticuz/chromium"]).toBe(">=112");
});

test("every script is explained", () => {
  const text = readFileSync(join(ROOT, "CONTRIBUTING.md"), "utf8");
  const names = Object.keys(json.scripts).filter((name) => !/^pre/.test(name));
  expect(
    names.filter((name) => !text.includes(name === "test" || name === "start" ? `npm ${name}` : `npm run ${name}`)),
  ).toEqual([]);
});
