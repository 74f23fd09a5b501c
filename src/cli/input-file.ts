/**
 * Input files of commands: regular files, and streams that can be read only once: `-` for standard input, pipes, FIFOs, /dev/stdin
 * and process substitutions such as <(command).
 */
import { fstatSync } from "node:fs";
import { stat } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { CheckpointError, OptionError, SourceError } from "../base/errors.js";
import { fileSource, MAX_MEDIA_BYTES } from "../io/source.js";
import { decodeText, MOST_TEXT_BYTES, parseJson, wideEncoding } from "../io/text.js";
import { note } from "./note.js";

/** Paths of standard input, which cannot be opened by name if it is a socket, as in many child processes. */
const STANDARD_INPUT = new Set(["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"]);

/** Time after which a command says that it waits for a question. */
const WAIT_MS = 2000;

/** The option that reads standard input, which can be read only once. */
let reader: string | undefined;

/** Whether a path denotes standard input. */
export function isStandardInput(path: string): boolean {
  return STANDARD_INPUT.has(path);
}

/** Replaces a leading `~` by the home folder: shells leave it in quotes and after `=`, and JSON files have no shell. */
export function expandHome(path: string): string {
  if (!/^~(?=[\\/]|$)/.test(path)) return path;
  try {
    return join(homedir(), path.slice(1));
  } catch {
    // Containers run under a number may have no home.
    return path;
  }
}

/** Claims standard input for one reader, such as an option. Throws OptionError if it is claimed, SourceError for a folder. */
export function takeStandardInput(by: string): NodeJS.ReadStream {
  if (reader !== undefined) {
    throw new OptionError({
      where: by,
      expected: "standard input for one reader",
      got: `one that ${reader} reads`,
      remedy: "give a file here, or in bash <(command)",
    });
  }
  reader = by;
  // Node reads a folder as an empty stream.
  if (fstatSync(0).isDirectory()) {
    const remedy = "name a file inside it, or use a pipe";
    throw new SourceError({ where: `${by}, standard input`, expected: "bytes to read", got: "a folder", remedy });
  }
  return process.stdin;
}

/** Whether an option reads standard input already. */
export function isStandardInputTaken(): boolean {
  return reader !== undefined;
}

/** Whether a path can be read only once; errors are left to its reader. */
export async function isStream(path: string): Promise<boolean> {
  if (isStandardInput(path)) return true;
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && !found.isFile() && !found.isDirectory();
}

/** Reads a text file; `option` names its purpose. Throws SourceError for a file that is unreadable, empty or not UTF-8. */
export async function readText(path: string, option: string): Promise<string> {
  const name = isStandardInput(path) ? `${option}, standard input` : path;
  const bytes = await readWhole(path, option, MOST_TEXT_BYTES);
  if (bytes.length === 0) {
    const remedy = isStandardInput(path) ? "check the command before the pipe" : "check the path, or fill the file";
    throw new SourceError({ where: name, expected: "a text", got: "no bytes at all", remedy });
  }
  return decodeText(bytes, name);
}

/**
 * Reads a question from standard input, without the last line end. If it was asked for, it must not be empty. Throws SourceError, also for
 * a picture or clip, which needs its option.
 */
export async function textOfStandardInput(isAsked: boolean): Promise<string> {
  const [option, name] = ["the question", "the question, standard input"];
  const waiting = setTimeout(() => note("(no question was given: it is read from standard input)"), WAIT_MS);
  const bytes = await readWhole("-", option, MOST_TEXT_BYTES).finally(() => clearTimeout(waiting));
  if (bytes.length === 0 && isAsked) {
    const remedy = "check the command before the pipe";
    throw new SourceError({ where: name, expected: "a text", got: "no bytes at all", remedy });
  }
  if (bytes.subarray(0, 512).includes(0) && !wideEncoding(bytes)) {
    const remedy = "give --image - or --video - for a picture or clip, and the question after it";
    throw new SourceError({ where: name, expected: "a text", got: "bytes that are no text", remedy });
  }
  return decodeText(bytes, name).replace(/[\r\n]+$/, "");
}

/** Reads a JSON file; `expected` and `remedy` describe it in errors. Throws SourceError with line and column. */
export async function readJson(path: string, option: string, expected: string, remedy: string): Promise<unknown> {
  const text = await readText(path, option);
  try {
    return parseJson(text, path);
  } catch (cause) {
    if (!(cause instanceof CheckpointError)) throw cause;
    const { where, got, expected: missing } = cause.fault;
    const place = where.slice(path.length + 2);
    const name = isStandardInput(path) ? `${option}, standard input` : path;
    throw new SourceError({ where: name, expected, got: `${got} at ${place}, where ${missing} is due`, remedy, cause });
  }
}

/**
 * Returns a picture or clip of the command line: the bytes if it can be read only once, since a conversation reads it again;
 * else the path.
 */
export async function mediaInput(path: string, option: string): Promise<string | Uint8Array> {
  if (/^(https?|data|file|blob):/i.test(path) || !(await isStream(path))) return path;
  const bytes = await readWhole(path, option, MAX_MEDIA_BYTES);
  if (bytes.length > 0) return bytes;
  const where = isStandardInput(path) ? `${option}, standard input` : path;
  const remedy = "check the command before the pipe";
  throw new SourceError({ where, expected: "a picture or clip", got: "no bytes at all", remedy });
}

async function readWhole(path: string, option: string, mostBytes: number): Promise<Uint8Array> {
  if (isStandardInput(path)) return readStream(takeStandardInput(option), `${option}, standard input`, mostBytes);
  const source = await fileSource(path);
  try {
    if (source.sizeBytes > mostBytes) throw tooLong(path, mostBytes, `${source.sizeBytes}`);
    return await source.read(0, source.sizeBytes);
  } finally {
    await source.close();
  }
}

async function readStream(stream: AsyncIterable<Uint8Array>, where: string, mostBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of typed(stream, where)) {
    size += chunk.length;
    if (size > mostBytes) throw tooLong(where, mostBytes, "more");
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks, size));
}

/** Yields the chunks of a stream, converting its errors to SourceErrors. */
export async function* typed(stream: AsyncIterable<Uint8Array>, where: string): AsyncGenerator<Uint8Array> {
  try {
    yield* stream;
  } catch (cause) {
    const got = (cause as NodeJS.ErrnoException).code === "EISDIR" ? "a folder" : String(cause);
    throw new SourceError({ where, expected: "bytes to read", got, remedy: "give a file or a pipe", cause });
  }
}

function tooLong(where: string, mostBytes: number, got: string): SourceError {
  const remedy = "check that it is the right file, or give a shorter one";
  return new SourceError({ where, expected: `at most ${mostBytes} bytes`, got, remedy });
}

/** Reads the paths of records: relative ones are below a folder; URLs and absolute paths stay. */
export function pathsBelow(folder: string): (path: string) => string {
  return (path) => (/^[a-z]+:/i.test(path) || isAbsolute(path) ? path : join(folder, path));
}
