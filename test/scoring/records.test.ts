import { describe, expect, test } from "vitest";
import { readRecords } from "../../src/scoring/records.js";

const below = (path: string) => `data/${path}`;

test("a question with one answer or several, with pictures and clips", () => {
  const text = [
    '{"id": 7, "image": "a.png", "question": "What?", "answer": "This."}',
    "",
    '{"question": "Which?", "images": ["a.png", "b.png"], "video": "c.mp4", "answers": ["x", 2]}',
    '{"question": "Who?", "answers": [{"answer": "me"}, {"answer": "you"}]}',
  ].join("\r\n");
  expect(readRecords(text, "a.jsonl", below)).toEqual([
    {
      id: "7",
      messages: [
        {
          role: "user",
          content: [
            { type: "image", image: "data/a.png" },
            { type: "text", text: "What?" },
          ],
        },
      ],
      answers: ["This."],
    },
    {
      id: "2",
      messages: [
        {
          role: "user",
          content: [
            { type: "image", image: "data/a.png" },
            { type: "image", image: "data/b.png" },
            { type: "video", video: "data/c.mp4" },
            { type: "text", text: "Which?" },
          ],
        },
      ],
      answers: ["x", "2"],
    },
    { id: "3", messages: [{ role: "user", content: [{ type: "text", text: "Who?" }] }], answers: ["me", "you"] },
  ]);
});

test("a conversation of the family's data: placeholders, an answer in front, the last answer is the right one", () => {
  const record = {
    id: "c",
    image: ["a.png", "b.png"],
    conversations: [
      { from: "gpt", value: "Dropped." },
      { from: "human", value: "<image>\n<image>\nCompare." },
      { from: "gpt", value: "Both are red." },
      { from: "human", value: "And now?" },
      { from: "gpt", value: "Blue." },
    ],
  };
  const [read] = readRecords(JSON.stringify([record]), "a.json");
  expect(read).toEqual({
    id: "c",
    messages: [
      {
        role: "user",
        content: [
          { type: "image", image: "a.png" },
          { type: "image", image: "b.png" },
          { type: "text", text: "Compare." },
        ],
      },
      { role: "assistant", content: [{ type: "text", text: "Both are red." }] },
      { role: "user", content: [{ type: "text", text: "And now?" }] },
    ],
    answers: ["Blue."],
  });
});

test("OpenAI's messages, with parts by URL", () => {
  const record = {
    messages: [
      { role: "system", content: "Be short." },
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: "a.png" } },
          { type: "text", text: "What?" },
        ],
      },
      { role: "assistant", content: "This." },
    ],
  };
  const [read] = readRecords(JSON.stringify(record), "a.jsonl", below);
  expect(read!.messages.map(({ role }) => role)).toEqual(["system", "user"]);
  expect(read!.messages[1]!.content[0]).toEqual({ type: "image", image: "data/a.png" });
  expect(read!.answers).toEqual(["This."]);
});

describe("what is wrong is named by line or record", () => {
  test.each([
    ["", /a\.jsonl: expected records, got an empty file/],
    ['{"question": "x", "answer": "y"}\n{', /a\.jsonl, line 2: expected JSON/],
    ['{"question": "x"}', /line 1, answer: expected a text/],
    ['{"question": "x", "answer": []}', /line 1, answer: expected a text/],
    ['[{"question": "x", "answer": "y"}, 3]', /record 2: expected an object, got 3/],
    [
      '{"id": "a", "question": "x", "answer": "y"}\n{"id": "a", "question": "x", "answer": "y"}',
      /line 2: expected an id of its own, got a, as in .*line 1/,
    ],
    ['{"text": "x"}', /expected question, messages or conversations, got fields text/],
    ['{"conversations": [{"from": "human", "value": "x"}]}', /an answer as the last turn/],
    ['{"conversations": [{"from": "robot", "value": "x"}]}', /turn 1: expected human, user/],
    [
      '{"conversations": [{"from": "human", "value": "<image>x"}, {"from": "gpt", "value": "y"}]}',
      /<image> without one/,
    ],
    ['{"question": "x", "answer": "y", "image": 3}', /image: expected a path/],
  ])("%s", (text, message) => {
    expect(() => readRecords(text, "a.jsonl")).toThrow(message);
  });
});
