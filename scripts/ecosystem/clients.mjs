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

export async function run({ root, command, project, ocellus, tiny, log }) {
  const folder = await project("clients");
  await command(folder, "npm", ["install", ocellus, tiny, ...SERVER, ...CLIENTS]);
  const main = join(folder, "node_modules/ocellus/dist/cli/main.js");
  const server = spawn(process.execPath, [main, "serve", "--name", "onevision", "--port", "0"], { cwd: folder });
  try {
    const url = await new Promise((resolve, reject) => {
      let output = "";
      for (const stream of [server.stdout, server.stderr]) {
        stream.on("data", (text) => {
          output += text;
          const found = /http:\/\/[\d.]+:\d+/.exec(output);
          if (found) resolve(found[0]);
        });
      }
      server.on("exit", () => reject(new Error(output)));
    });
    const picture = join(root, "models/tiny/examples/00-shapes.png");
    log((await command(root, "node", ["scripts/ask-clients.mjs", `${url}/v1`, "onevision", folder, picture])).trim());
  } finally {
    server.kill();
  }
}
