// Runtimes: a picture and a clip are asked about in Node, Bun and Deno, with the package from the tarball; the answers must be equal.

const PROGRAM = `
import { LlavaOneVision } from "ocellus";
const tiny = "node_modules/@ocellus/tiny";
const model = await LlavaOneVision.load(tiny);
for (const part of [
  { type: "image", image: tiny + "/examples/00-shapes.png" },
  { type: "video", video: tiny + "/examples/12-clip.mp4", frames: 4 },
]) {
  const { text } = await model.createSession().generate([part, { type: "text", text: "What do you see?" }]).result;
  console.log("answered: " + text);
}
model.dispose();
`;

const PACKAGES = ["webgpu@0.6", "@napi-rs/webcodecs@1.3.1", "@sparticuz/chromium@143"];
const OTHER_NODES = ["22", "24", "25"];

export async function run({ command, project, ocellus, tiny, log }) {
  const folder = await project("runtimes", { "first.mjs": PROGRAM });
  await command(folder, "npm", ["install", ocellus, tiny, ...PACKAGES]);
  const runtimes = {
    [`node ${process.version}`]: ["node", ["first.mjs"]],
    ...Object.fromEntries(
      OTHER_NODES.map((version) => [`node ${version}`, ["npx", ["--yes", `node@${version}`, "first.mjs"]]]),
    ),
    bun: ["npx", ["--yes", "bun", "first.mjs"]],
    deno: ["npx", ["--yes", "deno", "run", "--allow-all", "first.mjs"]],
  };
  let expected;
  for (const [name, [program, args]] of Object.entries(runtimes)) {
    const output = (await command(folder, program, args)).match(/^answered: .*$/gm)?.join("\n") ?? "";
    expected ??= output;
    if (output === "" || output !== expected) throw new Error(`${name}: expected ${expected}, got ${output}`);
    log(`${name}: ${output.replaceAll("\n", " ")}`);
  }
}
