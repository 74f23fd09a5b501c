import { expect, test } from "vitest";
import { readTrainingRecords } from "../../src/training/records.js";

const read = (...records: unknown[]) =>
  readTrainingRecords(JSON.stringify(records), "data.json", (path) => `in/${path}`);

test("messages, the family's conversations, and questions with an answer", () => {
  const picture = { type: "image", image: "in/a.png" };
  const text = { type: "text", text: "Which?" };
  const answer = { role: "assistant", content: [{ type: "text", text: "A hinge." }] };
  const [messages, conversation, question] = read(
    {
      messages: [
        { role: "user", content: [{ type: "image_url", image_url: { url: "a.png" } }, text] },
        { role: "assistant", content: "A hinge." },
      ],
    },
    {
      image: "a.png",
      conversations: [
        { from: "human", value: "<image>\nWhich?" },
        { from: "gpt", value: "A hinge." },
      ],
    },
    { image: "a.png", question: "Which?", answer: "A hinge." },
  );
  expect(messages?.messages).toEqual([{ role: "user", content: [picture, text] }, answer]);
  expect(conversation?.messages).toEqual([{ role: "user", content: [picture, text] }, answer]);
  expect(question?.messages).toEqual([
    { role: "user", content: [picture, text] },
    { role: "assistant", content: "A hinge." },
  ]);
  expect(messages?.where).toBe("data.json, record 1");
});

test("answers as tokens, and clips as frames or with a way of sampling", () => {
  const tokens = { role: "assistant", content: [{ type: "tokens", tokens: [1, 2] }] };
  const [frames, clip] = read(
    { messages: [{ role: "user", content: [{ type: "video", frames: ["a.png", "b.png"] }] }, tokens] },
    { messages: [{ role: "user", content: [{ type: "video", video: "a.mp4", frames: 4 }] }, tokens] },
  );
  expect(frames?.messages).toEqual([
    { role: "user", content: [{ type: "video", frames: ["in/a.png", "in/b.png"] }] },
    tokens,
  ]);
  expect(clip?.messages[0]?.content).toEqual([{ type: "video", video: "in/a.mp4", frames: 4 }]);
});

test.each([
  [
    "no answer",
    { messages: [{ role: "user", content: "Hello" }] },
    /record 1: expected an answer as the last message, got one of user/,
  ],
  [
    "no question",
    { messages: [{ role: "assistant", content: "Hello" }] },
    /record 1: expected an answer as the last message, got none/,
  ],
  [
    "tokens beside text",
    {
      messages: [
        { role: "user", content: "a" },
        {
          role: "assistant",
          content: [
            { type: "text", text: "b" },
            { type: "tokens", tokens: [1] },
          ],
        },
      ],
    },
    /record 1: expected an answer of text, or of tokens alone/,
  ],
  [
    "tokens that are no ids",
    {
      messages: [
        { role: "user", content: "a" },
        { role: "assistant", content: [{ type: "tokens", tokens: [-1] }] },
      ],
    },
    /record 1: expected tokens as a list of ids/,
  ],
])("%s is reported with its place", (_, record, message) => {
  expect(() => read(record)).toThrow(message);
});
