import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";
import { staticHub } from "../static-hub.js";

const TINY = fileURLToPath(new URL("../../models/tiny", import.meta.url));

/** The name under which the page loads the embedded checkpoint from the hub beside it. */
const REPOSITORY = "ocellus/tiny";

/** Pictures and clips of the examples: those of the embedded checkpoint, and those for other models. */
const EXAMPLES = [join(TINY, "examples"), fileURLToPath(new URL("../examples", import.meta.url))];

/** Adds the embedded checkpoint as a hub of plain files, and the examples' pictures and clips. */
export function bundledMedia(): Plugin {
  const files = (): Map<string, string | Uint8Array> => {
    const all = new Map<string, string | Uint8Array>();
    for (const [path, content] of staticHub(TINY, REPOSITORY)) all.set(`hub/${path}`, content);
    for (const folder of EXAMPLES) {
      for (const name of readdirSync(folder)) {
        if (!/\.(json|md)$/.test(name)) all.set(`examples/${name}`, readFileSync(join(folder, name)));
      }
    }
    return all;
  };
  return {
    name: "bundled-media",
    generateBundle() {
      for (const [fileName, source] of files()) this.emitFile({ type: "asset", fileName, source });
    },
    configureServer(server) {
      const all = files();
      server.middlewares.use((request, response, next) => {
        const content = all.get(new URL(request.url ?? "/", "http://localhost").pathname.slice(1));
        if (content === undefined) next();
        else response.end(content);
      });
    },
  };
}
