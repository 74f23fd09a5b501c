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
/** The AI SDK over a model in the same process. */
const IN_PROCESS = `
import { readFile } from "node:fs/promises";
import { embed, generateObject, generateText, streamText } from "ai";
import { LlavaOneVision } from "ocellus";
import { createOcellus } from "ocellus/ai";
import { z } from "zod";
const tiny = "node_modules/@ocellus/tiny";
const model = await LlavaOneVision.load(tiny);
const ocellus = createOcellus(model);
const about = async (name, mediaType) => [
  {
    role: "user",
    content: [
      { type: "file", data: await readFile(tiny + "/examples/" + name), mediaType },
      { type: "text", text: "What do you see?" },
    ],
  },
];
const say = (what, text) => {
  if (!text) throw new Error("ocellus/ai, " + what + ": no answer");
  console.log("ok   ocellus/ai, " + what + " " + JSON.stringify(text));
};
say("text", (await generateText({ model: ocellus(), prompt: "Hello!" })).text);
const picture = await about("00-shapes.png", "image/png");
say("picture", (await generateText({ model: ocellus(), messages: picture })).text);
say("video", (await generateText({ model: ocellus(), messages: await about("12-clip.mp4", "video/mp4") })).text);
let streamed = "";
for await (const delta of streamText({ model: ocellus(), messages: picture }).textStream) streamed += delta;
say("stream", streamed);
const schema = z.object({ shape: z.enum(["circle", "square"]) });
say("object", (await generateObject({ model: ocellus(), messages: picture, schema })).object.shape);
say("embedding", (await embed({ model: ocellus.embeddingModel(), value: "a circle" })).embedding.length);
model.dispose();
`;
const SERVER = [
  "@napi-rs/webcodecs@1.3.1",
  "webgpu@0.6",
  "@sparticuz/chromium@143",
  "hono",
  "@hono/node-server",
  "prom-client",
];

export async function run({ root, command, project, firstUrl, ocellus, tiny, log }) {
  const folder = await project("clients", { "in-process.mjs": IN_PROCESS });
  await command(folder, "npm", ["install", ocellus, tiny, ...SERVER, ...CLIENTS]);
  log((await command(folder, "node", ["in-process.mjs"])).trim());
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
