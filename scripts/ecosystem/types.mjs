// Every TypeScript from 5.4 on compiles a strict program against the package, its declarations checked too.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const VERSIONS = ["5.4", "5.5", "5.6", "5.7", "5.8", "5.9", "6.0", "7.0"];
const NODE = { module: "nodenext", moduleResolution: "nodenext" };
const BUNDLER = { module: "esnext", moduleResolution: "bundler" };
const SETTINGS = [
  { lib: ["es2022"], types: [], ...NODE },
  { lib: ["es2022"], types: ["node"], ...NODE },
  { lib: ["es2022", "webworker"], types: [], ...BUNDLER },
  { lib: ["es2022", "dom"], types: [], ...BUNDLER },
];

export async function run({ root, command, project, ocellus, log }) {
  const program = await readFile(join(root, "test/types/without-web.ts"), "utf8");
  for (const version of VERSIONS) {
    const folder = await project(`typescript-${version}`, { "program.ts": program });
    await command(folder, "npm", ["install", "--silent", ocellus, `typescript@${version}`, "@types/node@20"]);
    for (const setting of SETTINGS) {
      const compilerOptions = { strict: true, noEmit: true, skipLibCheck: false, target: "es2022", ...setting };
      await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["program.ts"] }));
      await command(folder, "npx", ["tsc", "-p", "."]);
    }
    log(`TypeScript ${version}: ${SETTINGS.length} settings`);
  }
}
