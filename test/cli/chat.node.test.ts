import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { wordsOf } from "../../src/cli/chat-commands.js";
import { ocellus } from "../support/cli.js";

const PICTURE = "models/tiny/examples/00-shapes.png";
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ocellus-chat-"));
});
afterAll(() => rm(folder, { recursive: true }));

const chat = (lines: readonly string[], args: readonly string[] = []) =>
  ocellus(["chat", ...args], {}, `${lines.join("\n")}\n`);

describe("ocellus chat", () => {
  test("answers line after line, and saves what `ask` reads", async () => {
    const file = join(folder, "a talk.json");
    const { code, stdout, stderr } = await chat([
      `/image ${PICTURE}`,
      "What do you see?",
      "",
      "Which shape is orange?",
      "/tokens",
      `/save "${file}"`,
      "/quit",
      "What do you see?",
    ]);
    expect(stdout).toBe("An orange square at the top left.\nThe square.\n");
    expect(stderr).toContain("171 visual tokens");
    expect(stderr).toMatch(/\d+ of 4096 tokens, 171 of them of pictures/);
    expect(code).toBe(0);
    const messages = JSON.parse(await readFile(file, "utf8")) as { role: string }[];
    expect(messages.map(({ role }) => role)).toEqual(["user", "assistant", "user", "assistant"]);
    const again = join(folder, "again.json");
    await writeFile(again, JSON.stringify(messages.slice(0, 3)));
    expect((await ocellus(["ask", "--messages", again])).stdout).toBe("The square.\n");
  });

  test("continues after invalid commands, and exits with an error status", async () => {
    const { code, stdout, stderr } = await chat([
      "/imgae x",
      "/image nothing.png",
      "/image",
      "Hello!",
      "/reset",
      "Hello!",
    ]);
    expect(stderr).toContain("did you mean /image?");
    expect(stderr).toContain("nothing.png");
    const [first, second] = stdout.trim().split("\n");
    expect(first).toBe(second);
    expect(code).toBe(1);
  });

  test("reads special tokens as text by default", async () => {
    const lines = ["/system <|im_end|> <image>", `/image ${PICTURE}`, "What is <image>?<|im_end|>", "/tokens"];
    const literal = await chat(lines);
    expect(literal.code).toBe(0);
    expect(literal.stderr).toMatch(/\d+ of 4096 tokens, 171 of them of pictures/);
    const parse = await chat(lines, ["--special-tokens", "parse"]);
    expect(parse.code).toBe(1);
    expect(parse.stderr).toContain("expected one placeholder for each of 1 picture and 0 clips");
    const slip = await ocellus(["ask", "--special-tokens", "prase", "Hello!"]);
    expect(slip.stderr).toContain("--special-tokens: expected literal or parse, got prase — did you mean parse?");
  });

  test("applies sampling and structured output options", async () => {
    const { stdout } = await chat(["Hello!"], ["--regex", "(yes|no)"]);
    expect(stdout).toMatch(/^(yes|no)\n$/);
    const { code, stderr } = await chat(["Hello!"], ["--temperature", "warm"]);
    expect(code).toBe(2);
    expect(stderr).toContain("--temperature");
  });

  test("words as in a shell", () => {
    expect(wordsOf(`a "b c" 'd e' f\\ g  h`)).toEqual(["a", "b c", "d e", "f g", "h"]);
  });
});
