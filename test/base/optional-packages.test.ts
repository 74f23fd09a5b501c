import { expect, test } from "vitest";
import { installCommand } from "../../src/base/optional-packages.js";

test("a command installs the packages in versions that are known to work", () => {
  expect(installCommand("sharp")).toBe("npm install sharp");
  expect(installCommand("webgpu", "@napi-rs/webcodecs", "@sparticuz/chromium")).toBe(
    "npm install webgpu @napi-rs/webcodecs@1.3.1 @sparticuz/chromium@143",
  );
});
