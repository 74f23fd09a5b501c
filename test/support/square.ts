import type { AnswerPiece } from "../../src/models/chat/answer.js";
import type { ChatMessage, ImageContent, TextContent } from "../../src/models/llava-onevision/processor.js";
import { exampleFile } from "./examples.js";

/** The drawing that most tests ask about, the question, and what the embedded checkpoint answers. */
export const picture = await exampleFile("00-shapes.png");
export const image: ImageContent = { type: "image", image: picture };
export const ask: TextContent = { type: "text", text: "What do you see?" };
export const question: ChatMessage[] = [{ role: "user", content: [image, ask] }];
export const ANSWER = "An orange square at the top left.";

/** The text of an answer, from its pieces. */
export async function read(pieces: AsyncIterable<AnswerPiece>): Promise<string> {
  let text = "";
  for await (const piece of pieces) text += piece.text;
  return text;
}
