import { MissingPackageError } from "../base/errors.js";

/** Imports the optional packages of the server. Throws MissingPackageError naming the package. */
export async function serverPackages() {
  const [hono, node, limit, cors, prometheus] = await Promise.all([
    needed("hono", import("hono")),
    needed("@hono/node-server", import("@hono/node-server")),
    needed("hono", import("hono/body-limit")),
    needed("hono", import("hono/cors")),
    needed("prom-client", import("prom-client")),
  ]);
  return { Hono: hono.Hono, serve: node.createAdaptorServer, bodyLimit: limit.bodyLimit, cors: cors.cors, prometheus };
}

async function needed<T>(name: string, imported: Promise<T>): Promise<T> {
  try {
    return await imported;
  } catch (cause) {
    throw new MissingPackageError({
      where: "ocellus serve",
      expected: `the package "${name}"`,
      got: cause instanceof Error ? cause.message : String(cause),
      remedy: `run \`npm install ${name}\``,
      cause,
    });
  }
}
