import { afterAll, beforeAll, expect, test } from "vitest";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { checkGivenBack, sharedDevice } from "../support/device.js";
import { readFixture, readFixtureJson } from "../support/fixture.js";

// The embedded checkpoint answers its bundled examples as the reference implementation does, token by token.

interface Example {
  kind: string;
  files: string[];
  video: boolean;
  turns: { question: string; reference_answer: string; reference_tokens: number[]; prompt_length: number }[];
}

const { examples } = await readFixtureJson<{ examples: Example[] }>(`${TINY}/examples/examples.json`);
const pictures = examples.filter((example) => example.files.length > 0 && !example.video);

let model: LlavaOneVision;
beforeAll(async () => {
  model = await LlavaOneVision.load(await checkpointFiles(TINY), { device: await sharedDevice() });
});
afterAll(async () => {
  model.dispose();
  expect(model.device.pool.reservedBytes).toBe(0);
  await checkGivenBack(model.device);
});

test("every kind of example with pictures is there", () => {
  const kinds = new Set(pictures.map(({ kind }) => kind));
  const expected = ["cameras", "chart", "gallery", "marks", "number", "pair", "screenshots", "shapes", "table"];
  expect([...kinds].sort()).toEqual(expected);
});

test.each(pictures.map((example) => ({ ...example, name: `${example.kind}: ${example.files.join(", ")}` })))(
  "$name",
  async ({ files, turns }) => {
    const images = await Promise.all(files.map((file) => readFixture(`${TINY}/examples/${file}`)));
    for (const turn of turns) {
      const session = model.createSession();
      const content = [
        ...images.map((image) => ({ type: "image" as const, image })),
        { type: "text" as const, text: turn.question },
      ];
      const answer = session.generate([{ role: "user", content }]);
      let streamed = "";
      for await (const piece of answer) streamed += piece.text;
      const result = await answer.result;
      session.dispose();
      expect(result.usage.promptTokens, turn.question).toBe(turn.prompt_length);
      expect(result.tokens, turn.question).toEqual(turn.reference_tokens);
      expect(result.text).toBe(turn.reference_answer);
      expect(streamed).toBe(turn.reference_answer);
      expect(result.finishReason).toBe("stop");
    }
  },
);
