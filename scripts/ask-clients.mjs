// Asks a running server through the clients that people use: a text, a picture, a stream, an object, and what each has besides.
//
//   npx ocellus serve --name onevision --port 8080
//   npm install --prefix /tmp/clients openai ai @ai-sdk/openai @ai-sdk/openai-compatible @langchain/openai @langchain/core zod
//   node scripts/ask-clients.mjs http://127.0.0.1:8080/v1 onevision /tmp/clients picture.png
//
// A line for each; the exit code is the number of those that failed.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [baseURL, model, folder, file] = process.argv.slice(2);
if (!file) {
  console.error("expected: node clients.mjs BASE_URL MODEL FOLDER_WITH_CLIENTS PICTURE");
  process.exit(2);
}
const require = createRequire(pathToFileURL(join(folder, "package.json")));
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);
const named = async (name) => {
  const loaded = await load(name);
  return { ...loaded.default, ...loaded };
};

const { OpenAI } = await named("openai");
const { embed, generateText, Output, streamText } = await named("ai");
const { createOpenAI } = await named("@ai-sdk/openai");
const { createOpenAICompatible } = await named("@ai-sdk/openai-compatible");
const { ChatOpenAI, OpenAIEmbeddings } = await named("@langchain/openai");
const { HumanMessage } = await named("@langchain/core/messages");
const { z } = await named("zod");

let failures = 0;
async function ask(name, work) {
  try {
    const answer = await work();
    if (answer === undefined || answer === "") throw new Error("no answer");
    console.log("ok  ", name, JSON.stringify(answer).slice(0, 100));
  } catch (error) {
    failures++;
    console.log("FAIL", name, String(error?.message ?? error).slice(0, 300));
  }
}

const bytes = readFileSync(file);
const url = `data:image/png;base64,${bytes.toString("base64")}`;
const question = "What is in this picture?";
const shape = z.object({ shape: z.enum(["circle", "square"]), count: z.number().int().min(0).max(9) });

const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
const content = [
  { type: "image_url", image_url: { url } },
  { type: "text", text: question },
];
const input = [
  {
    role: "user",
    content: [
      { type: "input_image", image_url: url, detail: "auto" },
      { type: "input_text", text: question },
    ],
  },
];
const messages = [{ role: "user", content }];
await ask(
  "openai chat",
  async () => (await client.chat.completions.create({ model, messages })).choices[0].message.content,
);
await ask("openai n", async () => (await client.chat.completions.create({ model, messages, n: 2 })).choices.length);
await ask("openai responses", async () => (await client.responses.create({ model, input })).output_text);
await ask("openai responses, continued", async () => {
  const { id } = await client.responses.create({ model, input });
  return (await client.responses.create({ model, input: "And now?", previous_response_id: id })).output_text;
});
await ask("openai responses, stream", async () => {
  let text = "";
  for await (const event of await client.responses.create({ model, input, stream: true })) text += event.delta ?? "";
  return text;
});
await ask("openai responses, object", async () => {
  const format = { type: "json_schema", name: "shape", schema: z.toJSONSchema(shape) };
  return shape.parse(JSON.parse((await client.responses.create({ model, input, text: { format } })).output_text));
});

for (const [name, provider] of [
  ["ai-sdk openai()", createOpenAI({ baseURL, apiKey: "none" })],
  ["ai-sdk openai-compatible", createOpenAICompatible({ name: "ocellus", baseURL, supportsStructuredOutputs: true })],
]) {
  const asked = {
    model: provider(model),
    maxRetries: 0,
    messages: [
      {
        role: "user",
        content: [
          { type: "image", image: bytes },
          { type: "text", text: question },
        ],
      },
    ],
  };
  await ask(
    `${name}, text`,
    async () => (await generateText({ model: asked.model, prompt: "Hello!", maxRetries: 0 })).text,
  );
  await ask(`${name}, picture`, async () => (await generateText(asked)).text);
  await ask(`${name}, stream`, async () => {
    let text = "";
    for await (const delta of streamText(asked).textStream) text += delta;
    return text;
  });
  await ask(
    `${name}, object`,
    async () => (await generateText({ ...asked, output: Output.object({ schema: shape }) })).output,
  );
  await ask(
    `${name}, embedding`,
    async () =>
      (await embed({ model: provider.textEmbeddingModel?.(model) ?? provider.embeddingModel(model), value: "hi" }))
        .embedding.length,
  );
}

for (const useResponsesApi of [false, true]) {
  const chat = new ChatOpenAI({ model, apiKey: "none", configuration: { baseURL }, maxRetries: 0, useResponsesApi });
  const name = `langchain ${useResponsesApi ? "responses" : "chat"}`;
  const text = ({ content }) =>
    typeof content === "string" ? content : content.map(({ text }) => text ?? "").join("");
  await ask(`${name}, text`, async () => text(await chat.invoke("Hello!")));
  await ask(`${name}, picture`, async () => text(await chat.invoke([new HumanMessage({ content })])));
  await ask(`${name}, stream`, async () => {
    let all = "";
    for await (const chunk of await chat.stream([new HumanMessage({ content })])) all += text(chunk);
    return all;
  });
  await ask(`${name}, object`, async () =>
    chat.withStructuredOutput(shape, { method: "jsonSchema" }).invoke("A shape."),
  );
}
await ask(
  "langchain embedding",
  async () =>
    (await new OpenAIEmbeddings({ model, apiKey: "none", configuration: { baseURL } }).embedQuery("hi")).length,
);
process.exit(failures);
