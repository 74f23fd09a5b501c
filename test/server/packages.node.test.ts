import { expect, test } from "vitest";
import type { OptionalPackage } from "../../src/base/optional-packages.js";
import { missingPackages, serverPackages } from "../../src/server/packages.js";

test("the packages are imported where they are installed", async () => {
  const { serve, Hono, prometheus } = await serverPackages();
  expect([typeof serve, typeof Hono, typeof prometheus.Registry]).toEqual(["function", "function", "function"]);
});

test("one command installs all that are missing", () => {
  const cause = new Error("Cannot find package 'hono'\nImported from …");
  const missing = (...names: OptionalPackage[]) => missingPackages(new Map(names.map((name) => [name, cause])));
  expect(missing("hono").message).toBe(
    "ocellus serve: expected the package hono, got an import that fails: Cannot find package 'hono' — run `npm install hono`",
  );
  const all = missing("hono", "@hono/node-server", "prom-client");
  expect(all.fault.remedy).toBe("run `npm install hono @hono/node-server prom-client`");
  expect(all.code).toBe("MISSING_PACKAGE");
  expect(all.cause).toBe(cause);
});
