// Asks about a picture and streams the answer.
//
//   node examples/ask.mjs [picture] [question] [checkpoint]
//
// Without a checkpoint the embedded toy answers, which knows drawings only.
import { LlavaOneVision } from "ocellus";

const [picture = "models/tiny/examples/01-shapes.png", question = "What color is the star?"] = process.argv.slice(2);
const model = await LlavaOneVision.load(process.argv[4] ?? "models/tiny");
const answer = model.createSession().generate([
  { type: "image", image: picture },
  { type: "text", text: question },
]);
for await (const { text } of answer) process.stdout.write(text);
const { usage, timings } = await answer.result;
console.log(`\n${usage.completionTokens} tokens in ${timings.total.toFixed(1)} s`);
model.dispose();
