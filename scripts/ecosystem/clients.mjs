// Clients of other projects against `ocellus serve`: scripts/ask-clients.mjs has their questions.

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
const SERVER = ["webgpu@0.6", "@sparticuz/chromium@143", "hono", "@hono/node-server", "prom-client"];

export async function run({ root, command, project, firstUrl, ocellus, tiny, log }) {
  const folder = await project("clients");
  await command(folder, "npm", ["install", ocellus, tiny, ...SERVER, ...CLIENTS]);
  const main = join(folder, "node_modules/ocellus/dist/cli/main.js");
  const server = spawn(process.execPath, [main, "serve", "--name", "onevision", "--port", "0"], { cwd: folder });
  try {
    const url = await firstUrl(server);
    const picture = join(root, "models/tiny/examples/00-shapes.png");
    log((await command(root, "node", ["scripts/ask-clients.mjs", `${url}/v1`, "onevision", folder, picture])).trim());
  } finally {
    server.kill();
  }
}
