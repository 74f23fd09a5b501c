import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

interface Locked {
  readonly resolved?: string;
  /** A package of this repository, with its folder as `resolved`. */
  readonly link?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const { packages } = JSON.parse(readFileSync(new URL("../package-lock.json", import.meta.url), "utf8")) as {
  packages: Readonly<Record<string, Locked>>;
};

test("the lockfile has the builds of every platform, so that npm install changes nothing and npm ci works everywhere", () => {
  const missing = Object.entries(packages).flatMap(([owner, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies)
      .filter((name) => !packages[`${owner}/node_modules/${name}`] && !packages[`node_modules/${name}`])
      .map((name) => `${owner}: ${name}`),
  );
  expect(missing).toEqual([]);
  expect(Object.keys(packages).filter((name) => /darwin|win32/.test(name)).length).toBeGreaterThan(20);
});

test("the lockfile names no registry", () => {
  expect(Object.keys(packages).filter((name) => packages[name]!.resolved && !packages[name]!.link)).toEqual([]);
});
