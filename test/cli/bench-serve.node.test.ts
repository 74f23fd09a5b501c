import { expect, test } from "vitest";
import { ocellus } from "../support/cli.js";
import { ocellusHere } from "../support/cli-in-process.js";

test("servers are started, measured, compared and stopped", async () => {
  const command = ["bench", "serve", "--model", "models/tiny", "--clients", "1,2", "--prompts", "text", "--compare"];
  const options = ["--prefixes", "shared", "--tokens", "4", "--seconds", "0.1", "--json"];
  const { code, stdout, stderr } = await ocellus([...command, ...options]);
  expect([code, stderr]).toEqual([0, ""]);
  const lines = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const one = { name: "serve", model: "models/tiny", prompt: "text", prefix: "shared", clients: 1, timesOneClient: 1 };
  expect(lines).toMatchObject([one, { clients: 2 }, one, { clients: 2 }]);
  for (const line of lines) {
    expect(line).toMatchObject({ failed: 0 });
    expect(line.answers).toBeGreaterThanOrEqual(line.clients);
    expect(line.tokensPerSecond).toBeGreaterThan(0);
    expect(line.firstTokenMs.p95).toBeGreaterThanOrEqual(line.firstTokenMs.p50);
  }
  const [alone, , first, second] = lines;
  expect(second.timesOneClient).toBeCloseTo(second.tokensPerSecond / first.tokensPerSecond);
  expect(first.timesAlone).toBeCloseTo(first.tokensPerSecond / alone.tokensPerSecond);
  expect(alone.timesAlone).toBeUndefined();
  // Both have gone.
  expect(first.url).not.toBe(alone.url);
  for (const { url } of [alone, first]) await expect(fetch(`${url}/models`)).rejects.toThrow();
});

test("a server that does not start is an error with what it says", async () => {
  const { code, stderr } = await ocellus(["bench", "serve", "--model", "no/such/folder"]);
  expect(code).toBe(1);
  expect(stderr).toContain("ocellus serve: expected a server, got ");
  expect(stderr).toContain("no/such/folder");
});

test.each([
  [["--clients", "1,x"], "--clients: expected whole numbers above 0 between commas, got x"],
  [["--prompts", "sound"], "--prompts: expected text or picture, or both between commas, got sound"],
  [["--prefixes", ""], "a value after --prefixes"],
  [["http://127.0.0.1:1", "--dtype", "q4"], "got --dtype beside http://127.0.0.1:1"],
  [["http://127.0.0.1:1", "--max-sequences", "3"], "got --max-sequences beside http://127.0.0.1:1"],
  [["http://127.0.0.1:1", "--compare"], "got --compare beside http://127.0.0.1:1"],
])("%j is refused", async (args, message) => {
  const { code, stderr } = await ocellusHere(["bench", "serve", ...args]);
  expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
});

test("a server that cannot be reached is an error, and help is of both words", async () => {
  const { code, stderr } = await ocellusHere(["bench", "serve", "http://127.0.0.1:1"]);
  expect([code, stderr]).toEqual([1, expect.stringContaining("http://127.0.0.1:1/v1: expected a server with OpenAI")]);
  const help = await ocellusHere(["help", "bench", "serve"]);
  expect(help.stdout).toMatch(/^ocellus bench serve \[URL\]/);
  expect((await ocellusHere(["help", "bench"])).stdout).toMatch(/^ocellus bench \[pattern\]/);
});
