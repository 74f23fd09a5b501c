// Compares two pictures in one question.
//
//   node examples/compare-pictures.mjs [before] [after] [checkpoint]
import { LlavaOneVision } from "ocellus";

const [before = "models/tiny/examples/09-pair-1.png", after = "models/tiny/examples/09-pair-2.png"] =
  process.argv.slice(2);
const model = await LlavaOneVision.load(process.argv[4] ?? "models/tiny");
const { text } = await model.createSession().generate([
  { type: "image", image: before },
  { type: "image", image: after },
  { type: "text", text: "What changed?" },
]).result;
console.log(text);
model.dispose();
