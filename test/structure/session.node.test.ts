import { fileURLToPath } from "node:url";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, expect, it } from "vitest";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { sharedDevice } from "../support/device.js";
import { exampleFile, examples } from "../support/examples.js";
import { random } from "../support/random.js";
import { randomSchema } from "../support/random-schema.js";

const COUNT = 16;
/** Every so many prompts have a picture. */
const PICTURES = 10;

let model: LlavaOneVision;
beforeAll(async () => {
  model = await LlavaOneVision.load(fileURLToPath(new URL("../../models/tiny", import.meta.url)), {
    device: await sharedDevice(),
  });
});
afterAll(() => model?.dispose());

const ajv = new Ajv2020({ strict: false, validateFormats: false });
const QUESTIONS = examples.flatMap(({ turns }) => turns.map(({ question }) => question));
const PICTURE = examples.find(({ files, video }) => files.length === 1 && !video)!.files[0]!;

/** What is wrong with the answer to a random question by a random schema. */
async function faultOf(seed: number): Promise<string | undefined> {
  const next = random(seed);
  const { schema } = randomSchema(next, 1 + (seed % 2));
  const text = QUESTIONS[Math.floor(next() * QUESTIONS.length)]!;
  using session = model.createSession();
  const picture = seed % PICTURES === 0 ? [{ type: "image" as const, image: await exampleFile(PICTURE) }] : [];
  const sampling = seed % 2 === 0 ? {} : { temperature: 1 + (seed % 3), seed };
  const answer = session.generate([...picture, { type: "text", text }], { schema, maxNewTokens: 96, ...sampling });
  const result = await answer.result;
  const about = `${seed}: ${JSON.stringify(schema)}: ${result.text}`;
  if (result.finishReason !== "stop") return `not ended, ${about}`;
  const validate = ajv.compile(schema);
  try {
    return validate(JSON.parse(result.text)) ? undefined : `${ajv.errorsText(validate.errors)}, ${about}`;
  } catch (cause) {
    return `${String(cause)}, ${about}`;
  }
}

it(`answers ${COUNT} of ${COUNT} random prompts by random schemas`, { timeout: 400_000 }, async () => {
  const faults: string[] = [];
  for (let seed = 0; seed < COUNT; seed += 4) {
    const found = await Promise.all([0, 1, 2, 3].map((i) => faultOf(seed + i)));
    faults.push(...found.filter((fault) => fault !== undefined));
  }
  console.log(`${COUNT - faults.length} of ${COUNT} constrained answers parse and validate`);
  expect(faults).toEqual([]);
});

it("holds answers to expressions and grammars too", async () => {
  using session = model.createSession();
  const one = await session.generate("How many?", { regex: "(?:red|blue) \\d{2}", maxNewTokens: 20 }).result;
  expect(one.text).toMatch(/^(?:red|blue) \d{2}$/);
  const two = await session.generate("And now?", { grammar: 'root ::= "yes" | "no, " [a-z]+ "."', maxNewTokens: 20 })
    .result;
  expect(two.text).toMatch(/^(?:yes|no, [a-z]+\.)$/);
  expect([one.finishReason, two.finishReason]).toEqual(["stop", "stop"]);
});

it("refuses a bad schema before anything is computed", async () => {
  using session = model.createSession();
  await expect(
    (async () => session.generate("Hello", { schema: { type: "string", minLenght: 1 } }).result)(),
  ).rejects.toMatchObject({ code: "OPTION", message: expect.stringContaining("did you mean `minLength`") });
});
