import { describe, expect, it } from "vitest";
import { PromptError } from "../../../src/base/errors.js";
import { checkMessages, type Message, mediaOf, partsOf } from "../../../src/models/llava-onevision/messages.js";

describe("partsOf and mediaOf", () => {
  it("take a string for one text part, and give media in order over all messages", () => {
    expect(partsOf({ role: "user", content: "Q" })).toEqual([{ type: "text", text: "Q" }]);
    const [clip, picture, second] = [{ type: "video" }, { type: "image" }, { type: "image" }] as const;
    const chat: Message[] = [
      { role: "user", content: [clip, { type: "text", text: "Q" }, picture] },
      { role: "assistant", content: "A" },
      { role: "user", content: [second] },
    ];
    const media = mediaOf(chat);
    expect(media).toHaveLength(3);
    for (const [i, part] of [clip, picture, second].entries()) expect(media[i]).toBe(part);
    expect(mediaOf([{ role: "user", content: "Q" }])).toEqual([]);
  });
});

describe("checkMessages", () => {
  const user = { role: "user", content: "Q" };

  it("takes text, and lists of parts", () => {
    const content = [{ type: "image" }, { type: "video" }, { type: "text", text: "" }];
    expect(() =>
      checkMessages([
        { role: "system", content: "" },
        { role: "user", content },
      ]),
    ).not.toThrow();
  });

  it.each<[string, unknown, string]>([
    ["no list", "Q", "messages: expected a list of at least one message, got Q"],
    ["nothing", undefined, "messages: expected a list of at least one message, got undefined"],
    ["an empty list", [], "messages: expected a list of at least one message"],
    ["a message that is text", [user, "Q"], "messages[1]: expected an object with role and content, got Q"],
    ["a message that is a list", [[user]], "messages[0]: expected an object with role and content"],
    ["a mistyped role", [{ ...user, role: "users" }], 'messages[0].role: expected "system" or "user" or "assistant"'],
    ["no role", [{ content: "Q" }], 'got {"content":"Q"} — a message is { role: "user", content }'],
    ["no content", [{ role: "user" }], "messages[0].content: expected text or a list of parts, got undefined"],
    [
      "an empty list of parts",
      [{ role: "user", content: [] }],
      "messages[0].content: expected text or a list of parts",
    ],
    ["a part that is text", [{ role: "user", content: ["Q"] }], "messages[0].content[0]: expected a part with a type"],
    [
      "a part of another type",
      [{ role: "user", content: [{ type: "text", text: "Q" }, { type: "audio" }] }],
      'messages[0].content[1].type: expected "text" or "image" or "video", got audio',
    ],
    [
      "a text part without text",
      [{ role: "user", content: [{ type: "text" }] }],
      "messages[0].content[0].text: expected a string, got undefined",
    ],
    ["no question", [{ role: "system", content: "S" }], "expected at least one user message, got only system"],
    [
      "an answer at the end",
      [user, { role: "assistant", content: "A" }],
      "messages[1].role: expected user in the last message, got assistant",
    ],
  ])("refuses %s", (_, messages, message) => {
    expect(() => checkMessages(messages)).toThrow(PromptError);
    expect(() => checkMessages(messages)).toThrow(message);
  });

  it("suggests the nearest name, and quotes no more than 80 characters", () => {
    expect(() => checkMessages([{ ...user, role: "asistant" }])).toThrow(/— .*"assistant"/);
    const long = "x".repeat(500);
    expect(() => checkMessages([{ ...user, role: long }])).toThrow(`got ${long.slice(0, 80)} —`);
  });
});
