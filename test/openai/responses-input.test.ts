import { describe, expect, test } from "vitest";
import { RequestError } from "../../src/openai/api-error.js";
import { type InputItem, readInput, readItems } from "../../src/openai/responses-input.js";
import type { OutputMessage } from "../../src/openai/responses-wire.js";

const nothing = () => undefined;
const { signal } = new AbortController();
const URL_OF_BYTES = `data:image/png;base64,${btoa("\u0001\u0002\u0003")}`;

const read = (item: object) => readInput([{ param: "input[0]", item } as InputItem], undefined, signal, {});

test("a text is a user's message", () => {
  expect(readItems("Hi", nothing)).toEqual([{ param: "input", item: { role: "user", content: "Hi" } }]);
});

test("an answer is referred to by its id", () => {
  const answer = { id: "msg_1", type: "message", role: "assistant" } as OutputMessage;
  const stored = (id: string) => (id === "msg_1" ? answer : undefined);
  const items = readItems(
    [
      { type: "item_reference", id: "msg_1" },
      { role: "user", content: "More" },
    ],
    stored,
  );
  expect(items.map(({ param, item }) => [param, item.role])).toEqual([
    ["input[0]", "assistant"],
    ["input[1]", "user"],
  ]);
});

test("messages with pictures and clips, the instructions first", async () => {
  const items: InputItem[] = [
    { param: "input[0]", item: { role: "developer", content: "Short." } },
    {
      param: "input[1]",
      item: {
        type: "message",
        role: "user",
        content: [
          { type: "input_image", image_url: URL_OF_BYTES, detail: "low" },
          { type: "input_video", video_url: URL_OF_BYTES, frames: 3 },
          { type: "input_text", text: "What?" },
        ],
      },
    },
  ];
  const { messages, imageMode } = await readInput(items, "Be kind.", signal, {});
  const bytes = Uint8Array.of(1, 2, 3);
  expect(messages).toEqual([
    { role: "system", content: "Be kind." },
    { role: "system", content: "Short." },
    {
      role: "user",
      content: [
        { type: "image", image: bytes },
        { type: "video", video: bytes, frames: 3 },
        { type: "text", text: "What?" },
      ],
    },
  ]);
  expect(imageMode).toBe("pad");
});

describe("refuses", () => {
  test.each<[unknown, RegExp]>([
    [[], /^input: expected a text, or a list of at least one message, got an empty list/],
    [5, /^input: .*got 5/],
    [[5], /^input\[0\]: /],
    [[{ type: "function_call_output", output: "rain" }], /^input\[0\]\.type: .*tools are not called here/],
    [[{ type: "reasoning", id: "rs_1" }], /^input\[0\]\.type: .*not a reasoning model/],
    [[{ type: "input_text", text: "Hi" }], /^input\[0\]\.type: .*send it in a message/],
    [
      [{ type: "item_reference", id: "msg_gone" }],
      /^input\[0\]\.id: expected the id of an answer that is still stored/,
    ],
  ])("the items %j", (input, message) => {
    expect(() => readItems(input, nothing)).toThrow(RequestError);
    expect(() => readItems(input, nothing)).toThrow(message);
  });

  test.each<[object, RegExp]>([
    [{ role: "tool", content: "rain" }, /^input\[0\]\.role: .*tools are not called here/],
    [{ role: "user", content: [] }, /^input\[0\]\.content: expected a text or a list of parts, got an empty list/],
    [{ role: "user", content: [{ type: "text", text: "Hi" }] }, /^input\[0\]\.content\[0\]\.type: .*input_text/],
    [{ role: "user", content: [{ type: "input_text" }] }, /^input\[0\]\.content\[0\]\.text: expected a text, got none/],
    [{ role: "user", content: [{ type: "input_image", file_id: "f" }] }, /\.file_id: expected none, got "f"/],
    [{ role: "user", content: [{ type: "input_image", image_url: "https://a.example/b.png" }] }, /\.image_url: /],
    [{ role: "user", content: [{ type: "input_file" }] }, /documents are not supported/],
  ])("the message %j", async (item, message) => {
    await expect(read(item)).rejects.toThrow(RequestError);
    await expect(read(item)).rejects.toThrow(message);
  });
});
