// Quantisation error on the embedded trained checkpoint: its bundled examples are answered in f32, and these answers are fed to the
// model in each storage dtype (teacher forcing). Compares at every token the argmax and the KL divergence with f32, and reports the
// bytes on the GPU and in a converted file. Prints the table of docs/dtypes.md.
//
//   node bench/dtypes.mjs
//
// Run `npm run build` before. OCELLUS_ADAPTER chooses the adapter.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { convertCheckpoint, Device, LlavaOneVision } from "ocellus";
import { agreement, judge } from "ocellus/bench";

const folder = fileURLToPath(new URL("../models/tiny", import.meta.url));
const { examples } = JSON.parse(await readFile(join(folder, "examples/examples.json"), "utf8"));
const questions = examples.flatMap(({ files, video, frames, turns }) => {
  const media = files.map((file) => {
    const path = join(folder, "examples", file);
    return video ? { type: "video", video: path, ...(frames !== null && { frames }) } : { type: "image", image: path };
  });
  return turns.map(({ question }) => [{ role: "user", content: [...media, { type: "text", text: question }] }]);
});

const truth = [];
for (const dtype of ["f32", "bf16", "f16", "q8", "q4"]) {
  const device = await Device.open();
  const model = await LlavaOneVision.load(folder, { device, dtype });
  const bytes = device.pool.liveBytes;
  const sum = { rows: 0, same: 0, divergence: 0, identical: 0 };
  for (const [i, messages] of questions.entries()) {
    const session = model.createSession();
    const { tokens } = await session.generate(messages).result;
    session.dispose();
    truth[i] ??= { tokens, judgement: await judge(model, messages, tokens) };
    const one = agreement(truth[i].judgement, await judge(model, messages, truth[i].tokens));
    for (const name of Object.keys(one)) sum[name] += one[name];
    if (String(tokens) === String(truth[i].tokens)) sum.identical++;
  }
  if (dtype === "f32") {
    const day = new Date().toISOString().slice(0, 10);
    console.log(`${device.facts.name}, ${day}: ${questions.length} questions, ${sum.rows} answer tokens\n`);
    console.log(
      "| dtype | same argmax token as f32 | mean KL divergence, nats | answers as in f32 | weights on the GPU | converted file |",
    );
    console.log("|---|---|---|---|---|---|");
  }
  let fileBytes = 0;
  for await (const { name, sizeBytes } of convertCheckpoint(folder, { device, dtype })) {
    if (name.endsWith(".safetensors")) fileBytes += sizeBytes;
  }
  const share = `${((100 * sum.same) / sum.rows).toFixed(2)} %`;
  const mean = (sum.divergence / sum.rows).toExponential(1);
  console.log(
    `| ${dtype} | ${share} | ${mean} | ${sum.identical} of ${questions.length} | ${(bytes / 1e6).toFixed(2)} MB | ${(fileBytes / 1e6).toFixed(2)} MB |`,
  );
  model.dispose();
  device.dispose();
}
