import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { platform } from "#platform";
import { MissingPackageError } from "../base/errors.js";
import { installCommand } from "../base/optional-packages.js";

/** The package of the toy checkpoint: `models/tiny` of the repository, where npm links it. */
const PACKAGE = "@ocellus/tiny";
/** Its folder in a checkout whose packages are not linked. */
const IN_REPOSITORY = fileURLToPath(new URL("../../models/tiny", import.meta.url));

/** The folder of the toy checkpoint. Throws MissingPackageError if its package is not installed. */
export function tinyCheckpoint(): string {
  const folder = platform.findPackage?.(PACKAGE)?.folder ?? IN_REPOSITORY;
  if (existsSync(join(folder, "model.safetensors"))) return folder;
  throw new MissingPackageError({
    where: "--model",
    expected: `a model, or the package ${PACKAGE} to try the command with a toy checkpoint`,
    got: "neither",
    remedy:
      `name a checkpoint, such as \`--model llava-hf/llava-onevision-qwen2-0.5b-ov-hf\`, or run ` +
      `\`${installCommand(PACKAGE)}\``,
  });
}

/** Its example pictures. */
export function tinyExamples(): string {
  return join(tinyCheckpoint(), "examples");
}
