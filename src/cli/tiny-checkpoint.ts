import { fileURLToPath } from "node:url";

/** The embedded checkpoint: a folder of the package. */
export function tinyCheckpoint(): string {
  return fileURLToPath(new URL("../../models/tiny", import.meta.url));
}

/** Its example pictures. */
export function tinyExamples(): string {
  return fileURLToPath(new URL("../../models/tiny/examples", import.meta.url));
}
