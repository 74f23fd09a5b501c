// Where the model's attention was while it answered: a map over the picture, drawn with characters.
//
//   node examples/attention-map.mjs [picture] [question] [checkpoint]
import { LlavaOneVision } from "ocellus";

const [picture = "models/tiny/examples/01-shapes.png", question = "What color is the star?"] = process.argv.slice(2);
const model = await LlavaOneVision.load(process.argv[4] ?? "models/tiny");
const session = model.createSession();
const { text } = await session.generate([
  { type: "image", image: picture },
  { type: "text", text: question },
]).result;
console.log(text);
const { media } = await session.attention();
const { rows, columns, values } = media[0].maps[0];
const largest = Math.max(...values);
for (let row = 0; row < rows; row++) {
  const cells = [...values.slice(row * columns, (row + 1) * columns)];
  console.log(cells.map((value) => " .:-=+*#%@"[Math.min(9, Math.floor((10 * value) / largest))]).join(""));
}
model.dispose();
