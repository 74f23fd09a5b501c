import { trafficLightDrawing } from "ocellus/drawings";
import { pngOf } from "../talk/drawings.js";
import { clear, exampleOf, examples, question, settings } from "./teaching.js";

/** Drawings to teach, a fourth of which is held out. */
const COUNT = 64;
const STEPS = 200;

/** Fills the examples with drawings of traffic lights, which the embedded checkpoint does not know. */
export async function trafficLights(): Promise<void> {
  clear();
  const first = Math.floor(Math.random() * 2 ** 30);
  const drawn = await Promise.all(
    Array.from({ length: COUNT }, async (_, i) => {
      const { pictures, turns } = trafficLightDrawing(first + i);
      return { file: await pngOf(pictures[0]!, `traffic-light-${i + 1}.png`), turn: turns[0]! };
    }),
  );
  question.value = drawn[0]!.turn.question;
  examples.value = drawn.map(({ file, turn }) => exampleOf(file, turn.answer));
  settings.value = { ...settings.value, steps: STEPS };
}
