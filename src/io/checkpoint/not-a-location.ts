/** Errors for what is not the location of a checkpoint, and for locations that can be read in two ways. */
import { platform } from "#platform";
import { causeMessage } from "../../base/cause-message.js";
import { CheckpointError, OcellusError, OptionError, SourceError } from "../../base/errors.js";
import { kindOf, unwrapping } from "../../base/kind-of.js";
import { isBytes } from "../bytes/bytes.js";
import { fileSource } from "../bytes/source.js";
import { A_MODEL } from "../hub/hub-address.js";
import { parseHubId } from "../hub/hub-names.js";
import { EXAMPLE_ID, HEAD_BYTES } from "./file-kind.js";

/** Returns the error for a value that is neither a text, nor a URL, nor files. */
export function notALocation(value: unknown): OptionError {
  return new OptionError({
    where: "location of the checkpoint",
    expected: "a folder, a hub id (org/name), a URL or a list of files",
    got: value instanceof Blob ? "one file" : isBytes(value) ? "bytes" : kindOf(value),
    remedy: remedyFor(value),
  });
}

function remedyFor(value: unknown): string {
  const example = `give for example ${JSON.stringify(EXAMPLE_ID)}`;
  if (value instanceof Blob) return "give an array of all files of the checkpoint: configs, tokenizer and weights";
  if (isBytes(value)) return "give files with names: [new File([bytes], name), …]";
  if (Array.isArray(value)) {
    return value.every((item) => typeof item === "string")
      ? "give the folder that holds these files, as one text"
      : "give File objects, or Blobs with a name";
  }
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  if (kind === "FileSystemDirectoryHandle") return "give its files: for await (const handle of folder.values()) …";
  if (kind === "Object") return `the location comes first, then options: load(${JSON.stringify(EXAMPLE_ID)}, { … })`;
  if (value === undefined || value === "") return `${example}; check the variable that it comes from`;
  return unwrapping(value) ?? example;
}

/** Returns the error of a hub id, for a text that also reads as a relative path without a folder. */
export function neitherFolderNorRepository(path: string, cause: unknown): unknown {
  if (!(cause instanceof CheckpointError || cause instanceof SourceError)) return cause;
  const { expected, got, remedy } = cause.fault;
  // There is a repository of that name, of another kind.
  if (expected === A_MODEL) return cause;
  const fault = {
    ...cause.fault,
    expected: `${expected}, or the folder ${path}`,
    got: `${got}, and no such folder`,
    remedy: `${remedy}; for a folder, check the path, which starts at the current folder`,
    cause,
  };
  return cause instanceof SourceError ? new SourceError(fault) : new CheckpointError(fault);
}

/** The remedy for a path without a folder. */
function remedyForPath(path: string): string {
  const id = parseHubId(path.replace(/^(\.[\\/])+/, "").replace(/[\\/]+$/, ""));
  if (id)
    return `create the folder, or give ${id.name}, without ./ and a slash at the end, to load that repository of the hub`;
  if (path.startsWith("~"))
    return "give the whole path: shells replace ~ by the home folder, programs use homedir() of node:os";
  return `check the path, which starts at the current folder, or give a hub id, such as ${EXAMPLE_ID}`;
}

/** Returns the error for a revision of a location that has none. */
export function revisionWithoutHub(location: string | undefined, revision: string): OptionError {
  return new OptionError({
    where: location ?? "list of files",
    expected: `a hub id to go with the revision ${revision}`,
    got: location === undefined ? "files" : "a folder or URL",
    remedy: "leave the revision out, or give org/name",
  });
}

/** Returns the error for a path that is not a folder. */
export async function noFolder(path: string, cause: unknown): Promise<CheckpointError> {
  const fault = {
    where: path,
    expected: platform.name === "browser" ? "a URL, a hub id or a list of files" : "a folder, or a hub id (org/name)",
  };
  const head = await headOfFile(path);
  if (head) {
    const { fileInPlaceOfFolder } = await import("./foreign-checkpoint.js");
    return new CheckpointError({ ...fault, ...fileInPlaceOfFolder(path, head), cause });
  }
  return new CheckpointError({ ...fault, got: reasonOf(cause), remedy: remedyForPath(path), cause });
}

/** Returns the first bytes of a local file; undefined if it cannot be read. */
async function headOfFile(path: string): Promise<Uint8Array | undefined> {
  const source = await fileSource(path).catch(() => undefined);
  try {
    return await source?.read(0, Math.min(HEAD_BYTES, source.sizeBytes));
  } catch {
    return undefined;
  } finally {
    await source?.close();
  }
}

function reasonOf(cause: unknown): string {
  if (cause instanceof OcellusError) return cause.fault.got;
  return causeMessage(cause);
}
