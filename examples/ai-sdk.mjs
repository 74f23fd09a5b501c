// The AI SDK over a model in this process: an object that matches a zod schema.
//
//   npm install ai zod
//   node examples/ai-sdk.mjs [picture] [checkpoint]
import { readFile } from "node:fs/promises";
import { generateText, Output } from "ai";
import { LlavaOneVision } from "ocellus";
import { createOcellus } from "ocellus/ai";
import { z } from "zod";

const model = await LlavaOneVision.load(process.argv[3] ?? "models/tiny");
const ocellus = createOcellus(model);
const data = await readFile(process.argv[2] ?? "models/tiny/examples/04-chart.png");
const { output } = await generateText({
  model: ocellus(),
  messages: [
    {
      role: "user",
      content: [
        { type: "file", mediaType: "image/png", data },
        { type: "text", text: "How many bars are there?" },
      ],
    },
  ],
  output: Output.object({ schema: z.object({ bars: z.number().int().min(1).max(9) }) }),
});
console.log(`bars: ${output.bars}`);
ocellus.dispose();
model.dispose();
