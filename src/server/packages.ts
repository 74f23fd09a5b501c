import { firstLineOf } from "../base/cause-message.js";
import { MissingPackageError } from "../base/errors.js";
import { installCommand, type OptionalPackage } from "../base/optional-packages.js";

/** Imports the optional packages of the server. Throws MissingPackageError with the command that installs all that are missing. */
export async function serverPackages() {
  const missing = new Map<OptionalPackage, unknown>();
  const needed = async <T>(name: OptionalPackage, imported: Promise<T>): Promise<T | undefined> => {
    try {
      return await imported;
    } catch (cause) {
      missing.set(name, cause);
      return undefined;
    }
  };
  const [hono, node, cors, prometheus] = await Promise.all([
    needed("hono", import("hono")),
    needed("@hono/node-server", import("@hono/node-server")),
    needed("hono", import("hono/cors")),
    needed("prom-client", import("prom-client")),
  ]);
  if (!(hono && node && cors && prometheus)) throw missingPackages(missing);
  return { Hono: hono.Hono, serve: node.createAdaptorServer, cors: cors.cors, prometheus };
}

/** The error for packages of the server, with the reason for each. */
export function missingPackages(missing: ReadonlyMap<OptionalPackage, unknown>): MissingPackageError {
  const names = [...missing.keys()];
  const [cause] = missing.values();
  return new MissingPackageError({
    where: "ocellus serve",
    expected: `the package${names.length > 1 ? "s" : ""} ${names.join(", ")}`,
    got: `an import that fails: ${firstLineOf(cause)}`,
    remedy: `run \`${installCommand(...names)}\``,
    cause,
  });
}
