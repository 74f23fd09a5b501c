// The official OpenAI client against `ocellus serve`.
//
//   npx ocellus serve --port 8080
//   node examples/openai-client.mjs [base URL] [picture]
import { readFile } from "node:fs/promises";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2] ?? "http://127.0.0.1:8080/v1", apiKey: "none" });
const picture = await readFile(process.argv[3] ?? "models/tiny/examples/01-shapes.png");
const [model] = (await client.models.list()).data;
const stream = await client.chat.completions.create({
  model: model.id,
  messages: [
    {
      role: "user",
      content: [
        { type: "image_url", image_url: { url: `data:image/png;base64,${picture.toString("base64")}` } },
        { type: "text", text: "What color is the star?" },
      ],
    },
  ],
  stream: true,
});
for await (const { choices } of stream) process.stdout.write(choices[0]?.delta.content ?? "");
console.log();
