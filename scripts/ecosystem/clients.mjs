// Clients of other projects against `ocellus serve`: scripts/ask-clients.mjs and scripts/ask_clients.py have their questions. Those in Python
// are left out, and said to be, where there is no python3 with venv.

import { spawn } from "node:child_process";
import { join } from "node:path";

const CLIENTS = [
  "openai",
  "ai@6",
  "@ai-sdk/openai@3",
  "@ai-sdk/openai-compatible",
  "@langchain/openai",
  "@langchain/core",
  "zod",
];
const PYTHON_CLIENTS = ["openai", "litellm", "llm"];
const SERVER = ["webgpu@0.6", "@sparticuz/chromium@143", "hono", "@hono/node-server", "prom-client"];

export async function run({ root, command, project, firstUrl, ocellus, tiny, log }) {
  const folder = await project("clients");
  await command(folder, "npm", ["install", ocellus, tiny, ...SERVER, ...CLIENTS]);
  const main = join(folder, "node_modules/ocellus/dist/cli/main.js");
  const server = spawn(process.execPath, [main, "serve", "--name", "onevision", "--port", "0"], { cwd: folder });
  try {
    const url = await firstUrl(server);
    const picture = join(root, "models/tiny/examples/00-shapes.png");
    const asked = [`${url}/v1`, "onevision"];
    log((await command(root, "node", ["scripts/ask-clients.mjs", ...asked, folder, picture])).trim());
    const python = join(folder, "python/bin/python");
    try {
      await command(folder, "python3", ["-m", "venv", "python"]);
    } catch (error) {
      log(
        `left out, since there is no python3 with venv: ${PYTHON_CLIENTS.join(", ")} (${error.message.split("\n")[0]})`,
      );
      return;
    }
    await command(folder, python, ["-m", "pip", "install", "--quiet", ...PYTHON_CLIENTS]);
    log((await command(root, python, ["scripts/ask_clients.py", ...asked, picture])).trim());
  } finally {
    server.kill();
  }
}
