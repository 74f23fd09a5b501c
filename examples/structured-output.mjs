// Structured output: the answer always matches the JSON schema.
//
//   node examples/structured-output.mjs [picture] [checkpoint]
import { LlavaOneVision } from "ocellus";

const schema = {
  type: "object",
  properties: {
    shape: { enum: ["circle", "square", "star", "triangle"] },
    color: { enum: ["black", "blue", "green", "orange", "red", "white"] },
  },
  required: ["shape", "color"],
  additionalProperties: false,
};
const model = await LlavaOneVision.load(process.argv[3] ?? "models/tiny");
const { text } = await model.createSession().generate(
  [
    { type: "image", image: process.argv[2] ?? "models/tiny/examples/00-shapes.png" },
    { type: "text", text: "Which shape is at the top left, and which color does it have? Answer in JSON." },
  ],
  { schema },
).result;
const { shape, color } = JSON.parse(text);
console.log(`shape: ${shape}, color: ${color}`);
model.dispose();
