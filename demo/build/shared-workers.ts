import { dirname, resolve } from "node:path";
import type { Plugin } from "vite";

const SCRIPT = /(?<=new Worker\(\s*)new URL\("(\.[^"]+)", import\.meta\.url\)/g;

/**
 * Makes the scripts of module workers entries of the page's own build, so that page and workers share chunks. Vite bundles each worker by
 * itself, which writes the library twice.
 */
export function sharedWorkers(): Plugin {
  let root: string;
  return {
    name: "shared-workers",
    apply: "build",
    enforce: "pre",
    configResolved(config) {
      root = config.root;
    },
    transform(code, id) {
      // The library names such scripts in its examples only.
      if (!id.startsWith(root)) return null;
      return code.replace(SCRIPT, (_, path: string) => {
        const reference = this.emitFile({ type: "chunk", id: resolve(dirname(id), path) });
        return `import.meta.ROLLUP_FILE_URL_${reference}`;
      });
    },
  };
}
