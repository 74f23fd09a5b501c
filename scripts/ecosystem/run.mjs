// Checks the packed package outside the repository, as its users meet it: `npm run ecosystem` runs every row, `npm run ecosystem types managers`
// some of them. A row is a file of this folder that exports `run(context)`; it throws what is wrong. Needs the npm registry; nothing in the
// repository changes.

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = fileURLToPath(new URL("../../", import.meta.url));
const temporary = await mkdtemp(join(tmpdir(), "ocellus-ecosystem-"));
const WAIT_MS = 600_000;

/** Runs a command; returns its output. Throws with the output if it fails. */
async function command(folder, name, args, env = {}) {
  const options = { cwd: folder, env: { ...process.env, ...env }, maxBuffer: 2 ** 26, timeout: WAIT_MS };
  try {
    const { stdout, stderr } = await promisify(execFile)(name, args, {
      ...options,
      shell: process.platform === "win32",
    });
    return stdout + stderr;
  } catch (error) {
    throw new Error(`${name} ${args.join(" ")}: ${error.message}\n${error.stdout ?? ""}${error.stderr ?? ""}`);
  }
}

/** Makes an empty project with some files; returns its folder. */
async function project(name, files = {}) {
  const folder = join(temporary, name);
  const all = { "package.json": JSON.stringify({ name: "app", private: true, type: "module" }), ...files };
  for (const [path, content] of Object.entries(all)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
  return folder;
}

/** The first address that a server prints. Throws its output if it ends without one. */
function firstUrl(server) {
  return new Promise((resolve, reject) => {
    let output = "";
    for (const stream of [server.stdout, server.stderr]) {
      stream.on("data", (text) => {
        output += text;
        const found = /http:\/\/(localhost|[\d.]+):\d+/.exec(output);
        if (found) resolve(found[0]);
      });
    }
    server.on("exit", () => reject(new Error(output)));
  });
}

async function pack(args) {
  const output = await command(root, "npm", ["pack", "--silent", "--pack-destination", temporary, ...args]);
  return join(temporary, output.trim().split("\n").at(-1));
}

const rows = (await readdir(here)).filter((name) => name !== "run.mjs").map((name) => name.replace(".mjs", ""));
const wanted = process.argv.length > 2 ? process.argv.slice(2) : rows;
const unknown = wanted.filter((name) => !rows.includes(name));
if (unknown.length > 0) {
  console.error(`no row ${unknown.join(", ")}; there are ${rows.join(", ")}`);
  process.exit(2);
}
let failed = 0;
try {
  const context = {
    root,
    command,
    project,
    firstUrl,
    ocellus: await pack([]),
    tiny: await pack(["--workspace", "@ocellus/tiny"]),
    log: console.log,
  };
  for (const name of wanted) {
    console.log(`== ${name}`);
    const { run } = await import(pathToFileURL(join(here, `${name}.mjs`)).href);
    try {
      await run(context);
    } catch (error) {
      failed++;
      console.error(`${name} failed: ${error.message}`);
    }
  }
} finally {
  await rm(temporary, { recursive: true, force: true });
}
console.log(`${wanted.length - failed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
