import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

interface Package {
  readonly license?: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
}
interface Locked {
  readonly license?: string;
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
}

const own = JSON.parse(read("package.json")) as Package;
const { packages } = JSON.parse(read("package-lock.json")) as { packages: Readonly<Record<string, Locked>> };
const dependencies = Object.keys(own.dependencies);

/** Packages that the page bundles; vite only builds it. */
function packagesOfPage(): string[] {
  const files = readdirSync(join(ROOT, "demo"), { recursive: true, encoding: "utf8" }).filter(
    (file) => /\.tsx?$/.test(file) && !/^(dist|build)/.test(file),
  );
  const imports = files.flatMap((file) =>
    [...read(join("demo", file)).matchAll(/from "(@[\w-]+\/[\w-]+|[a-z][\w-]*)(?:\/[^"]*)?"/g)].map(
      ([, name]) => name!,
    ),
  );
  return [...new Set(imports)].filter(
    (name) => name !== "ocellus" && name !== "vite" && existsSync(join(ROOT, "node_modules", name)),
  );
}

it("NOTICE has every package that the library depends on, may use, or bundles in the page, with its licence", () => {
  // Each sentence's licences are in brackets after the names.
  const groups = [
    ...read("NOTICE")
      .replace(/\s+/g, " ")
      .matchAll(/([^()]*)\(([^()]*)\)/g),
  ];
  const licenceOf = (name: string): string | undefined =>
    groups.find(([, names]) => names!.split(/[\s,;:]+/).includes(name))?.[2];
  const pages = packagesOfPage();
  expect(pages).toContain("preact");
  for (const name of [...dependencies, ...Object.keys(own.peerDependencies), ...pages]) {
    const known = licenceOf(name);
    expect(known, name).toBeDefined();
    const locked = packages[`node_modules/${name}`]?.license;
    if (locked !== undefined) expect(known, name).toContain(locked);
  }
});

it("nothing that users install needs a script", () => {
  const scripts = Object.entries(packages)
    .filter(([, { hasInstallScript }]) => hasInstallScript)
    .map(([path]) => path.split("node_modules/").at(-1));
  // Of optional packages: webgpu's removes the quarantine attribute on macOS, the one below bullmq looks for a native build. Both work without.
  const unnecessary = ["webgpu", "msgpackr-extract", "fsevents"];
  expect(scripts.filter((name) => !unnecessary.includes(name!))).toEqual([]);
});

it("npm run sbom lists what the library installs, with licences", () => {
  const { sbom } = (JSON.parse(read("package.json")) as { scripts: { sbom: string } }).scripts;
  const json = execFileSync("npm", sbom.split(" ").slice(1), {
    cwd: ROOT,
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  const { bomFormat, components } = JSON.parse(json) as {
    bomFormat: string;
    components: readonly { name: string; version: string; licenses?: readonly object[]; hashes?: readonly object[] }[];
  };
  expect(bomFormat).toBe("CycloneDX");
  const names = components.map(({ name }) => name);
  for (const name of dependencies) expect(names).toContain(name);
  for (const { name, licenses, hashes } of components) {
    expect(licenses, name).not.toEqual([]);
    expect(hashes, name).toBeDefined();
  }
});
