import { afterEach, expect, test, vi } from "vitest";
import { parse } from "../../src/cli/arguments.js";
import { queueOf } from "../../src/cli/queue-options.js";
import { worker } from "../../src/cli/worker.js";
import { ocellusHere } from "../support/cli-in-process.js";

afterEach(() => vi.unstubAllEnvs());

const of = (...args: string[]) => queueOf(parse(worker, args));

test("the address is an option or in the environment", () => {
  vi.stubEnv("OCELLUS_QUEUE", undefined);
  expect(of("--queue", "redis://a")).toEqual({ url: "redis://a", queueName: "ocellus" });
  expect(() => of()).toThrow("ocellus worker: expected --queue, or OCELLUS_QUEUE in the environment, got neither");
  vi.stubEnv("OCELLUS_QUEUE", "redis://b");
  expect(of("--queue-name", "large")).toEqual({ url: "redis://b", queueName: "large" });
  expect(() => of("--queue-name", "a:b")).toThrow("ocellus worker, --queue-name: expected a name without colons");
});

test("a batch that goes to a queue rejects the options of workers", async () => {
  for (const [option, workers = option] of [
    ["model"],
    ["dtype"],
    ["name"],
    ["input-dir"],
    ["parallel", "concurrency"],
  ]) {
    expect(Object.keys(worker.options)).toContain(workers);
    const command = ["batch", "package.json", "-o", "-", "--queue", "redis://a", `--${option}`, "1"];
    const { code, stderr } = await ocellusHere(command);
    expect([code, stderr]).toEqual([
      2,
      expect.stringContaining(`got --${option} — give --${workers} to \`ocellus worker\``),
    ]);
  }
});
