import { attach } from "./draft.js";
import { type ModelChoice, open } from "./model.js";

/** Adds pictures and clips to the question; loads the files or the folder of a checkpoint as the model. */
export async function takeDropped(data: DataTransfer): Promise<void> {
  // The browser empties the list after this event; the entries stay valid.
  const entries = Array.from(data.items, (item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const files = entries.length > 0 ? (await Promise.all(entries.map(filesIn))).flat() : [...data.files];
  if (!openFiles(files)) await attach(files);
}

/** Loads a checkpoint's files as the model. Returns false if there are no weights among them. */
export function openFiles(files: readonly File[], options: ModelChoice["options"] = {}): boolean {
  if (!files.some(({ name }) => name.endsWith(".safetensors"))) return false;
  const path = files[0]?.webkitRelativePath ?? "";
  const label = path.includes("/") ? path.slice(0, path.indexOf("/")) : "your files";
  void open({ label, location: files, options });
  return true;
}

/** Returns the file, or all files of the folder. */
async function filesIn(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    // Set as by the folder picker: entries have their path, their files do not.
    const path = entry.fullPath.replace(/^\//, "");
    if (path.includes("/")) Object.defineProperty(file, "webkitRelativePath", { value: path });
    return [file];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: File[] = [];
  // A reader returns a hundred entries at a time, and none at the end.
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (batch.length === 0) return files;
    files.push(...(await Promise.all(batch.map(filesIn))).flat());
  }
}
