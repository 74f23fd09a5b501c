import { afterEach, expect, test, vi } from "vitest";
import { dim } from "../../src/cli/note.js";

afterEach(() => vi.unstubAllEnvs());

const DIM = "\x1b[2mx\x1b[22m";

test.each<[Record<string, string | undefined>, string]>([
  [{}, "x"],
  [{ FORCE_COLOR: "1" }, DIM],
  [{ FORCE_COLOR: "0" }, "x"],
  [{ NO_COLOR: "1" }, "x"],
])("without a terminal and with %j", (env, text) => {
  for (const name of ["FORCE_COLOR", "NO_COLOR", "NODE_DISABLE_COLORS"]) vi.stubEnv(name, env[name]);
  expect(dim("x")).toBe(text);
});
