import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ocellus, ROOT } from "../support/cli.js";
import { DamagedCheckpoint } from "../support/damaged.js";

// Every file that a command reads, as Windows programs write it and as shells hand it over.

const PICTURE = join(ROOT, "models/tiny/examples/00-shapes.png");
const CLIP = join(ROOT, "models/tiny/examples/12-clip.mp4");
const BOM = "\ufeff";
const ANSWER = "An orange square at the top left.\n";
const QUESTION = "What do you see?";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ocellus input "));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a line of bash in the test's folder, where `$O` is the command line, `$P` a picture and `$V` a clip. */
function bash(line: string): Promise<Outcome> {
  const env = { ...process.env, P: PICTURE, V: CLIP, MAIN: join(ROOT, "dist/cli/main.js"), NODE: process.execPath };
  const whole = `O() { "$NODE" "$MAIN" "$@"; }; ${line}`;
  return new Promise((resolve) => {
    execFile("bash", ["-c", whole], { cwd: folder, env }, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
  });
}

const said = (text: string, image: string = PICTURE) =>
  JSON.stringify(
    [
      {
        role: "user",
        content: [
          { type: "image", image },
          { type: "text", text },
        ],
      },
    ],
    null,
    2,
  );

/** A command that must answer with `stdout`. */
async function answers(line: string, stdout: string = ANSWER): Promise<void> {
  const outcome = await bash(line);
  expect(outcome, line).toMatchObject({ stdout, code: 0 });
}

/** A command that must fail before it loads a model, with one line that has every one of `parts`. */
async function refuses(line: string, ...parts: string[]): Promise<void> {
  const { code, stdout, stderr } = await bash(line);
  for (const part of parts) expect(stderr, line).toContain(part);
  expect(stderr.trimEnd().split("\n"), line).toHaveLength(1);
  expect([code, stdout]).toEqual([1, ""]);
}

describe("text files", () => {
  test("messages: a byte order mark and CRLF; from a pipe paths count from the current folder", async () => {
    await writeFile(join(folder, "bom.json"), `${BOM}${said(QUESTION).replaceAll("\n", "\r\n")}`);
    await answers("O ask --messages bom.json");
    await answers("cat bom.json | O ask --messages -");
    await answers('cp "$P" here.png; sed "s#"/.*png#"here.png#" bom.json | O ask --messages /dev/stdin');
  });

  test("schema and grammar: FIFO and process substitution, with a byte order mark", async () => {
    await writeFile(join(folder, "schema.json"), `${BOM}{\r\n"const": "yes" }\r\n`);
    await answers('mkfifo fifo; cat schema.json > fifo & O ask --schema fifo "Is it?"', '"yes"\n');
    await answers('O ask --schema - "Is it?" < schema.json', '"yes"\n');
    await answers(`O ask --grammar <(printf '\\xef\\xbb\\xbfroot ::= "so"\\r\\n | "so"\\r\\n') "Is it?"`, "so\n");
    const { stdout } = await bash('O ask --any-json --max-new-tokens 8 "Is it?"');
    expect(() => JSON.parse(stdout)).not.toThrow();
  });

  test("the question", () => answers(`printf '${QUESTION}\\r\\n' | O ask --image "$P" -`));

  test("UTF-16, other bytes, folders and empty files are named", async () => {
    await writeFile(join(folder, "wide.json"), Buffer.from(`${BOM}${said(QUESTION)}`, "utf16le"));
    for (const option of ["messages", "schema", "grammar"]) {
      const question = option === "messages" ? "" : "Hi";
      await refuses(`O ask --${option} wide.json ${question}`, "wide.json: expected UTF-8 text, got UTF-16", "iconv");
      await refuses(`O ask --${option} <(printf '{"\\xff') ${question}`, "byte 0xff at offset 2");
      await refuses(`O ask --${option} . ${question}`, ".: expected a readable file, got a folder");
      await refuses(`: > empty; O ask --${option} empty ${question}`, "empty: expected a text, got no bytes at all");
    }
    await refuses("O ask --messages - < /tmp", "standard input: expected bytes to read, got a folder");
    await refuses("O ask --messages - < /dev/null", "--messages, standard input: expected a text, got no bytes");
    await refuses(
      "echo '[1,' | O ask --messages -",
      "standard input: expected a JSON file with messages",
      "line 2, column 1",
    );
    await refuses("O ask --schema <(echo '{') Hi", "expected a JSON schema", "--any-json");
  });

  test("standard input has one reader", async () => {
    await refuses("O ask --schema - - < /dev/null", "expected");
    await refuses('cat "$P" | O ask --image - --image - Hi', "one that --image reads", "<(command)");
    await refuses("O chat --grammar - < /dev/null", "one that the conversation reads");
  });

  test("files of a checkpoint", async () => {
    const checkpoint = await DamagedCheckpoint.in(join(folder, "checkpoint"));
    for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"]) {
      const text = await readFile(checkpoint.file(name), "utf8");
      await checkpoint.write(name, `${BOM}${text.replaceAll("\n", "\r\n")}`);
    }
    expect((await ocellus(["ask", "--model", checkpoint.folder, "--image", PICTURE, QUESTION])).stdout).toBe(ANSWER);
    await checkpoint.write("config.json", Buffer.from(`${BOM}{}`, "utf16le"));
    const { stderr } = await ocellus(["ask", "--model", checkpoint.folder, "Hi"]);
    expect(stderr).toContain("config.json: expected UTF-8 text, got UTF-16");
  });
});

describe("pictures and clips", () => {
  test("from -, a pipe by name, a FIFO and a process substitution", async () => {
    await answers(`cat "$P" | O ask --image - "${QUESTION}"`);
    await answers(`O ask --image /dev/stdin "${QUESTION}" < "$P"`);
    await answers(`mkfifo picture; cat "$P" > picture & O ask --image picture "${QUESTION}"`);
    await answers(`O ask --image <(cat "$P") "${QUESTION}"`);
    const whole = await bash('O ask --video "$V" --frames 4 "What moves?"');
    await answers('O ask --video <(cat "$V") --frames 4 "What moves?"', whole.stdout);
  });

  test("a program's child, whose standard input is a socket", async () => {
    const { stdout } = await ocellus(["ask", "--messages", "/dev/stdin"], {}, said(QUESTION));
    expect(stdout).toBe(ANSWER);
  });

  test("nothing and too much are named", async () => {
    await refuses(
      "O ask --image - Hi < /dev/null",
      "--image, standard input: expected a picture or clip, got no bytes",
    );
    await refuses("O ask --video <(:) Hi", "expected a picture or clip, got no bytes");
    await refuses(
      "O ask --image /dev/zero Hi",
      "/dev/zero: expected at most 536870912 bytes from a pipe or device, got more",
    );
  });

  test("chat looks at a FIFO, asks about it twice, and saves what it was", async () => {
    const line = `mkfifo seen; cat "$P" > seen & printf '/image seen\\n${QUESTION}\\nWhich shape is orange?\\n/save talk.json\\n' | O chat`;
    expect((await bash(line)).stdout).toBe(`${ANSWER}The square.\n`);
    const messages = JSON.parse(await readFile(join(folder, "talk.json"), "utf8"));
    await writeFile(join(folder, "again.json"), JSON.stringify(messages.slice(0, 3)));
    await answers("O ask --messages again.json", "The square.\n");
  });
});

describe("batches", () => {
  const request = (custom_id: string) =>
    JSON.stringify({
      custom_id,
      method: "POST",
      url: "/v1/chat/completions",
      body: { model: "tiny", messages: [{ role: "user", content: "Is there a\u2028square?" }], max_tokens: 2 },
    }).replace("\\u2028", "\u2028");

  test("a byte order mark, CRLF and a damaged line, from a pipe to a pipe", async () => {
    const file = Buffer.concat([
      Buffer.from(`${BOM}${request("a")}\r\n\r\n`),
      Buffer.of(0x7b, 0xff, 0x0a),
      Buffer.from(request("b")),
    ]);
    await writeFile(join(folder, "in.jsonl"), file);
    const { stdout, stderr } = await bash("cat in.jsonl | O batch - -o -");
    expect(stderr).toContain("2 answered, 1 failed, 0 done before\n");
    const results = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(results.map((r) => r.custom_id ?? r.error.message).sort()).toEqual([
      "a",
      "b",
      `line 3: the line: expected UTF-8 text, got byte 0xff at offset ${file.indexOf(0xff)}, which no character of UTF-8 has there — save it as UTF-8, or get an undamaged copy`,
    ]);
    await bash("O batch in.jsonl -o out.jsonl");
    const before = await readFile(join(folder, "out.jsonl"), "utf8");
    await writeFile(join(folder, "out.jsonl"), `${BOM}${before.replaceAll("\n", "\r\n")}`);
    expect((await bash("O batch <(cat in.jsonl) -o out.jsonl")).stderr).toContain(
      "0 answered, 1 failed, 2 done before\n",
    );
  });

  test("UTF-16 is named before anything is written, and folders and missing files are", async () => {
    const wide = Buffer.from(`${BOM}${request("a")}\n`, "utf16le");
    await writeFile(join(folder, "wide.jsonl"), wide);
    await refuses("O batch wide.jsonl -o new.jsonl", "wide.jsonl: expected UTF-8 text, got UTF-16");
    await refuses(
      `echo '${request("a")}' > one.jsonl; O batch one.jsonl -o wide.jsonl`,
      "wide.jsonl: expected UTF-8 text, got UTF-16",
    );
    expect(await readFile(join(folder, "wide.jsonl"))).toEqual(wide);
    await refuses("O batch . -o new.jsonl", ".: expected a readable file, got a folder");
    await refuses("O batch none.jsonl -o new.jsonl", "none.jsonl: expected a readable file, got nothing of that name");
  });
});
