import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ROOT } from "../support/cli.js";

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

const environment = () => ({
  ...process.env,
  P: PICTURE,
  V: CLIP,
  MAIN: join(ROOT, "dist/cli/main.js"),
  INPUT: join(ROOT, "dist/cli/input-file.js"),
  NODE: process.execPath,
  READ,
});

/** Runs a line of bash in the test's folder, where `$O` is the command line, `$P` a picture and `$V` a clip. */
function bash(line: string): Promise<Outcome> {
  const whole = `O() { "$NODE" "$MAIN" "$@"; }; ${line}`;
  return new Promise((resolve) => {
    execFile("bash", ["-c", whole], { cwd: folder, env: environment() }, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
  });
}

/** What `readText` and its like give for a path, without a model: `R text -`, `R media <(…)`. */
const READ = `
const input = await import(process.env.INPUT);
const [kind, path] = process.argv.slice(1);
const read = { text: input.readText, json: (p, by) => input.readJson(p, by, "a JSON file", "correct it"), media: input.mediaInput }[kind];
try {
  const value = await read(path, "--file");
  console.log(value instanceof Uint8Array ? value.length + " bytes" : JSON.stringify(value));
} catch (error) {
  console.log(error.code, error.message);
}`;

async function reads(line: string, ...parts: string[]): Promise<void> {
  const { stdout, stderr } = await bash(`R() { "$NODE" --input-type=module -e "$READ" "$@"; }; ${line}`);
  expect(stderr, line).toBe("");
  for (const part of parts) expect(stdout, line).toContain(part);
}

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
  expect(code, line).toBe(/standard input for one reader|either --schema/.test(stderr) ? 2 : 1);
  expect(stdout).toBe("");
}

describe("what is read", () => {
  const FORMS: [string, (kind: string) => string][] = [
    ["a file", (kind) => `R ${kind} "$F"`],
    ["standard input from a file", (kind) => `R ${kind} - < "$F"`],
    ["standard input from a pipe", (kind) => `cat "$F" | R ${kind} -`],
    ["standard input by name", (kind) => `cat "$F" | R ${kind} /dev/stdin`],
    ["standard input by number", (kind) => `cat "$F" | R ${kind} /dev/fd/0`],
    ["another descriptor", (kind) => `R ${kind} /dev/fd/7 7< <(cat "$F")`],
    ["a process substitution", (kind) => `R ${kind} <(cat "$F")`],
    ["a FIFO", (kind) => `mkfifo ${kind}.fifo; cat "$F" > ${kind}.fifo & R ${kind} ${kind}.fifo`],
    ["a link", (kind) => `ln -sf "$F" link; R ${kind} link`],
  ];
  test.each(FORMS)("%s", async (name, line) => {
    await writeFile(join(folder, "text"), `${BOM}{"a":\r\n"é"}\r\n`);
    if (["a file", "standard input from a pipe", "a process substitution"].includes(name)) {
      await reads(`F=text; ${line("text")}`, '"{\\"a\\":\\r\\n\\"é\\"}\\r\\n"\n');
      await reads(`F=text; ${line("json")}`, '{"a":"é"}\n');
    }
    const { length } = await readFile(CLIP);
    const stays = name === "a file" ? JSON.stringify(CLIP) : name === "a link" ? '"link"' : `${length} bytes`;
    await reads(`F="$V"; ${line("media")}`, stays);
  });

  test("a socket, which standard input of a program's child is", async () => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", READ, "text", "/dev/stdin"], {
      env: environment(),
    });
    child.stdin.end("words");
    const chunks: Buffer[] = [];
    for await (const chunk of child.stdout) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toBe('"words"\n');
  });

  test("other encodings are named, with the place of a wrong byte", async () => {
    await writeFile(join(folder, "wide"), Buffer.from(`${BOM}[]`, "utf16le"));
    await reads("R text wide", "SOURCE wide: expected UTF-8 text, got UTF-16 — save it as UTF-8: iconv -f UTF-16");
    await reads("R json - < wide", "SOURCE --file, standard input: expected UTF-8 text, got UTF-16");
    await reads(`R json <(printf '{"\\xff')`, "byte 0xff at offset 2");
  });

  test("missing, empty and oversized files", async () => {
    await reads("R text .", "SOURCE .: expected a readable file, got a folder");
    await reads("R text - < .", "SOURCE --file, standard input: expected bytes to read, got a folder");
    await reads("R text none", "SOURCE none: expected a readable file, got nothing of that name");
    await reads(": > empty; R text empty", "SOURCE empty: expected a text, got no bytes at all");
    await reads("R json - < /dev/null", "SOURCE --file, standard input: expected a text, got no bytes at all");
    await reads("R media <(:)", "expected a picture or clip, got no bytes at all");
    await reads("R media /dev/zero", "/dev/zero: expected at most 536870912 bytes from a pipe or device, got more");
    await reads("R text /dev/zero", "/dev/zero: expected at most 536870912 bytes from a pipe or device, got more");
    await reads("truncate -s 300M long; R text long", "SOURCE long: expected at most 268435456 bytes, got 314572800");
    await reads("R text - < long", "SOURCE --file, standard input: expected at most 268435456 bytes, got more");
    await reads("R text /proc/self/status", '"Name:');
    await reads(
      "echo '[1,' | R json -",
      "SOURCE --file, standard input: expected a JSON file",
      "line 2, column 1",
      "correct it",
    );
  });
});

describe("commands", () => {
  test("messages with a byte order mark and CRLF, from a pipe: paths count from the current folder", async () => {
    const parts = [
      { type: "image", image: "here.png" },
      { type: "text", text: QUESTION },
    ];
    const text = JSON.stringify([{ role: "user", content: parts }], null, 2);
    await writeFile(join(folder, "messages.json"), `${BOM}${text.replaceAll("\n", "\r\n")}`);
    await answers('cp "$P" here.png; cat messages.json | O ask --messages -');
  });

  test("picture, schema and question", () =>
    answers(
      `echo '${QUESTION}' | O ask --image <(cat "$P") --schema <(printf '\\xef\\xbb\\xbf{"const":\\r\\n"so"}') -`,
      '"so"\n',
    ));

  test("clip and grammar", () =>
    answers(`O ask --video - --frames 2 --grammar <(printf 'root ::= "so"\\r\\n | "so"\\r\\n') Hi < "$V"`, "so\n"));

  test("--any-json, and a question from a pipe", async () => {
    const { stdout } = await bash('echo "Is it?" | O ask --any-json --max-new-tokens 8');
    expect(() => JSON.parse(stdout)).not.toThrow();
  });

  test("standard input has one reader", async () => {
    await refuses('O ask --image - --image - Hi < "$P"', "one that --image reads", "<(command)");
    await refuses('O ask --image - - < "$P"', "one that --image reads");
    await refuses('O ask - < "$P"', "the question, standard input: expected a text", "give --image - or --video -");
    await refuses('O ask < "$P"', "give --image - or --video -");
    await refuses("O chat --grammar - < /dev/null", "one that the conversation reads");
  });

  test("what is wrong with a file is said before a model is loaded", async () => {
    await writeFile(join(folder, "wide.json"), Buffer.from(`${BOM}[]`, "utf16le"));
    for (const option of ["messages", "schema", "grammar"]) {
      await refuses(
        `O ask --${option} wide.json${option === "messages" ? "" : " Hi"}`,
        "wide.json: expected UTF-8 text, got UTF-16",
      );
    }
    await refuses("O ask --schema - Hi < /dev/null", "--schema, standard input: expected a text, got no bytes at all");
    await refuses("O ask --schema <(echo '{') Hi", "expected a JSON schema", "--any-json");
    await refuses("O ask --schema wide.json --any-json Hi", "expected either --schema or --any-json");
  });

  test("chat looks at a FIFO, asks about it twice, and saves what it was", async () => {
    const line = `mkfifo seen; cat "$P" > seen & printf '/image seen\\n${QUESTION}\\nWhich shape is orange?\\n/save talk.json\\n' | O chat`;
    expect((await bash(line)).stdout).toBe(`${ANSWER}The square.\n`);
    const messages = JSON.parse(await readFile(join(folder, "talk.json"), "utf8"));
    const bytes = await readFile(PICTURE);
    expect(messages[0].content[0].image).toBe(`data:application/octet-stream;base64,${bytes.toString("base64")}`);
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
    const { code, stdout, stderr } = await bash("cat in.jsonl | O batch - -o -");
    expect(code).toBe(1);
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
    await writeFile(join(folder, "out.jsonl"), `${BOM}${stdout.replaceAll("\n", "\r\n")}`);
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
