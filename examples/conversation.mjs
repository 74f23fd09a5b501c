// A follow-up question: the picture and the conversation so far are not computed again.
//
//   node examples/conversation.mjs [picture] [checkpoint]
import { LlavaOneVision } from "ocellus";

const model = await LlavaOneVision.load(process.argv[3] ?? "models/tiny");
const session = model.createSession();
const picture = process.argv[2] ?? "models/tiny/examples/00-shapes.png";
for (const question of [
  [
    { type: "image", image: picture },
    { type: "text", text: "What do you see?" },
  ],
  "Which shape is orange?",
]) {
  const { text, usage } = await session.generate(question).result;
  console.log(`${text} (${usage.promptTokens} tokens, ${usage.reusedTokens} of them cached)`);
}
model.dispose();
