import { MissingPackageError } from "../base/errors.js";

/**
 * Imports an optional package with native code. Throws MissingPackageError: the package is not installed, has no build for this system,
 * or Node's permission model doesn't let addons be loaded.
 */
export async function importPackage<T>(
  load: () => Promise<T>,
  fault: { where: string; expected: string; remedy: string },
): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    const forbidden = (cause as { code?: string })?.code === "ERR_DLOPEN_DISABLED";
    throw new MissingPackageError({
      where: fault.where,
      expected: fault.expected,
      got: `an import that fails: ${cause instanceof Error ? cause.message.split("\n")[0] : String(cause)}`,
      remedy: forbidden ? "start Node with --allow-addons beside --permission" : fault.remedy,
      cause,
    });
  }
}
