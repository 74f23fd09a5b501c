import { expect, test } from "vitest";
import { MissingPackageError } from "../../src/base/errors.js";
import { importPackage } from "../../src/platform/node-packages.js";

const fault = { where: "x.jpg", expected: "the package sharp", remedy: "run npm install sharp" };

test("a package that is not installed, one that does not load, and one that may not", async () => {
  const name = "no-such-package-of-ocellus";
  const absent = importPackage(() => import(/* @vite-ignore */ name), fault);
  await expect(absent).rejects.toThrow(MissingPackageError);
  await expect(absent).rejects.toThrow("— run npm install sharp");
  const broken = importPackage(async () => {
    throw new Error('Could not load the "sharp" module using the linux-x64 runtime\nPossible solutions:');
  }, fault);
  await expect(broken).rejects.toThrow(
    'got an import that fails: Could not load the "sharp" module using the linux-x64 runtime — it is installed, but does not load here: delete node_modules',
  );
  const forbidden = importPackage(async () => {
    throw Object.assign(new Error("no addons"), { code: "ERR_DLOPEN_DISABLED" });
  }, fault);
  await expect(forbidden).rejects.toThrow("--allow-addons");
});
