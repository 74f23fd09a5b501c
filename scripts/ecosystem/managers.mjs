// Package managers: the tarballs are installed beside `webgpu` and the software adapter, and a picture is asked about.

const PROGRAM = `
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { LlavaOneVision } from "ocellus";
const tiny = dirname(createRequire(import.meta.url).resolve("@ocellus/tiny/package.json"));
const model = await LlavaOneVision.load(tiny);
const picture = { type: "image", image: join(tiny, "examples/00-shapes.png") };
const { text } = await model.createSession().generate([picture, { type: "text", text: "What is in this picture?" }]).result;
console.log(text === "" ? "no answer" : "answered: " + text);
model.dispose();
`;

const npx = (name, ...args) => ["npx", ["--yes", name, ...args]];
const MANAGERS = [
  { name: "npm", add: (packages) => ["npm", ["install", ...packages]], start: ["node", ["first.mjs"]] },
  { name: "pnpm", add: (packages) => npx("pnpm@10", "add", ...packages), start: ["node", ["first.mjs"]] },
  {
    name: "yarn (Plug'n'Play)",
    add: (packages) => npx("@yarnpkg/cli-dist@4", "add", ...packages),
    start: npx("@yarnpkg/cli-dist@4", "node", "first.mjs"),
    files: { "yarn.lock": "" },
  },
  {
    name: "yarn (node_modules)",
    add: (packages) => npx("@yarnpkg/cli-dist@4", "add", ...packages),
    start: ["node", ["first.mjs"]],
    files: { "yarn.lock": "", ".yarnrc.yml": "nodeLinker: node-modules\n" },
  },
  { name: "bun", add: (packages) => npx("bun", "add", ...packages), start: npx("bun", "first.mjs") },
];

export async function run({ command, project, ocellus, tiny, log }) {
  // Yarn and Bun do not read npm's configuration.
  const registry = (await command(process.cwd(), "npm", ["config", "get", "registry"])).trim();
  const env = {
    npm_config_registry: registry,
    YARN_NPM_REGISTRY_SERVER: registry,
    YARN_UNSAFE_HTTP_WHITELIST: "*",
    YARN_ENABLE_TELEMETRY: "0",
  };
  const packages = [ocellus, tiny, "webgpu@0.6", "@sparticuz/chromium@143"];
  for (const { name, add, start, files } of MANAGERS) {
    const folder = await project(name.replace(/\W+/g, "-"), { "first.mjs": PROGRAM, ...files });
    await command(folder, ...add(packages), env);
    const output = await command(folder, ...start, env);
    if (!output.includes("answered: ")) throw new Error(`${name}: ${output}`);
    log(`${name}: ${output.trim()}`);
  }
}
