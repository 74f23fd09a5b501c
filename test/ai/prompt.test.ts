import { describe, expect, test } from "vitest";
import { readPrompt } from "../../src/ai/prompt.js";
import type { PromptMessage, Warning } from "../../src/ai/specification.js";
import { OptionError, PromptError } from "../../src/base/errors.js";

const bytes = Uint8Array.of(1, 2, 3);

function read(...content: object[]): { content: unknown; warnings: Warning[] } {
  const warnings: Warning[] = [];
  const [message] = readPrompt([{ role: "user", content } as unknown as PromptMessage], warnings);
  return { content: message!.content, warnings };
}

test.each<[string, object, object]>([
  ["a text", { type: "text", text: "Hi" }, { type: "text", text: "Hi" }],
  ["bytes", { type: "file", mediaType: "image/png", data: bytes }, { type: "image", image: bytes }],
  ["base64", { type: "file", mediaType: "image/*", data: "AQID" }, { type: "image", image: bytes }],
  [
    "a data URL",
    { type: "file", mediaType: "IMAGE/PNG", data: "data:image/png;base64,AQID" },
    { type: "image", image: bytes },
  ],
  [
    "version 4's bytes",
    { type: "file", mediaType: "image/png", data: { type: "data", data: "AQID" } },
    { type: "image", image: bytes },
  ],
  [
    "version 4's text",
    { type: "file", mediaType: "text/plain", data: { type: "text", text: "Hi" } },
    { type: "text", text: "Hi" },
  ],
  [
    "a clip with options",
    { type: "file", mediaType: "video/mp4", data: bytes, providerOptions: { ocellus: { frames: 4, track: 2 } } },
    { type: "video", video: bytes, frames: 4, track: 2 },
  ],
])("%s", (_, part, expected) => {
  expect(read(part)).toEqual({ content: [expected], warnings: [] });
});

test("system prompts are texts, and reasoning is left out with a warning", () => {
  expect(readPrompt([{ role: "system", content: "Short." }], [])).toEqual([{ role: "system", content: "Short." }]);
  const { content, warnings } = read({ type: "reasoning", text: "hm" });
  expect(content).toBe("");
  expect(warnings).toEqual([
    { type: "other", message: expect.stringContaining("prompt[0].content[0]: the reasoning") },
  ]);
});

describe("refuses", () => {
  test.each<[object, unknown, RegExp]>([
    [
      { type: "tool-call" },
      PromptError,
      /prompt\[0\]\.content\[0\]: expected a text or a file, got "tool-call" — leave tools out/,
    ],
    [
      { type: "file", mediaType: "application/pdf", data: bytes },
      PromptError,
      /mediaType: expected image\/… or video\/…/,
    ],
    [{ type: "file", mediaType: "text/plain", data: bytes }, PromptError, /send the text as a text part/],
    [{ type: "file", mediaType: "image/png", data: new URL("https://a.example") }, OptionError, /data: .*got a URL/],
    [{ type: "file", mediaType: "image/png", data: "file:///etc/passwd" }, OptionError, /other URLs are not read/],
    [{ type: "file", mediaType: "image/png", data: "*" }, OptionError, /the bytes of a file, or their base64/],
    [
      { type: "file", mediaType: "image/png", data: bytes, providerOptions: { ocellus: { frames: 4 } } },
      OptionError,
      /providerOptions\.ocellus.*frames/,
    ],
  ])("%j", (part, type, message) => {
    expect(() => read(part)).toThrow(type as typeof PromptError);
    expect(() => read(part)).toThrow(message);
  });

  test("other roles", () => {
    expect(() => readPrompt([{ role: "tool", content: [] } as unknown as PromptMessage], [])).toThrow(
      /prompt\[0\]\.role: expected system, user, assistant, got "tool"/,
    );
  });
});
