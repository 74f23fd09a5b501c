import { expect, test } from "vitest";
import { ocellus } from "../support/cli.js";
import { ocellusHere } from "../support/cli-in-process.js";

test("a server is started, measured and stopped", async () => {
  const command = ["bench", "serve", "--model", "models/tiny", "--clients", "1,2", "--prompts", "text"];
  const { code, stdout, stderr } = await ocellus([
    ...command,
    "--prefixes",
    "shared",
    "--tokens",
    "4",
    "--seconds",
    "0.1",
    "--json",
  ]);
  expect([code, stderr]).toEqual([0, ""]);
  const lines = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines).toMatchObject([
    { name: "serve", model: "models/tiny", prompt: "text", prefix: "shared", clients: 1, failed: 0, timesOneClient: 1 },
    { clients: 2, failed: 0 },
  ]);
  for (const line of lines) {
    expect(line.answers).toBeGreaterThanOrEqual(line.clients);
    expect(line.tokensPerSecond).toBeGreaterThan(0);
    expect(line.firstTokenMs.p95).toBeGreaterThanOrEqual(line.firstTokenMs.p50);
  }
  expect(lines[1].timesOneClient).toBeCloseTo(lines[1].tokensPerSecond / lines[0].tokensPerSecond);
  // It has gone.
  await expect(fetch(`${lines[0].url}/models`)).rejects.toThrow();
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
