import { firstLineOf } from "../base/cause-message.js";
import { MissingPackageError } from "../base/errors.js";

/** Codes of a package that is not installed. */
const ABSENT = ["ERR_MODULE_NOT_FOUND", "MODULE_NOT_FOUND"];
/** What Vite puts in the place of an optional peer dependency that is not installed: it throws this message, without a code. */
const ABSENT_MESSAGE = /^Could not resolve "/;
const REMEDIES: Readonly<Record<string, string>> = {
  ERR_DLOPEN_DISABLED: "start Node with --allow-addons beside --permission",
};
/** For a package that is installed, but whose native part is for another system, damaged or missing: `npm install` finds it up to date. */
const REINSTALL =
  "it is installed, but does not load here: delete node_modules and run `npm install --include=optional` on this system";

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
    const code = (cause as { code?: string })?.code ?? "";
    const message = firstLineOf(cause);
    const absent = ABSENT.includes(code) || ABSENT_MESSAGE.test(message);
    throw new MissingPackageError({
      where: fault.where,
      expected: fault.expected,
      got: `an import that fails: ${message}`,
      remedy: REMEDIES[code] ?? (absent ? fault.remedy : REINSTALL),
      cause,
    });
  }
}
