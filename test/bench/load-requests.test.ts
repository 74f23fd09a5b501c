import { expect, test } from "vitest";
import { loadRequest } from "../../src/bench/load-requests.js";

interface Body {
  messages: { content: { type: string; text?: string; image_url?: { url: string } }[] }[];
  stream: boolean;
  max_tokens: number;
  min_tokens: number;
}

const parts = async (prompt: "text" | "picture", prefix: "shared" | "distinct", number: number) =>
  ((await loadRequest({ prompt, prefix }, number, 8)) as Body).messages[0]!.content;
const textOf = (content: Awaited<ReturnType<typeof parts>>): string => content.at(-1)!.text!;

test("prompts with a shared prefix begin alike and end differently; others differ from the first sentence", async () => {
  const [a, b] = [textOf(await parts("text", "shared", 1)), textOf(await parts("text", "shared", 2))];
  expect(a).not.toBe(b);
  expect(a.split(" Question")[0]).toBe(b.split(" Question")[0]);
  const [c, d] = [textOf(await parts("text", "distinct", 1)), textOf(await parts("text", "distinct", 2))];
  expect(c.slice(0, 10)).not.toBe(d.slice(0, 10));
});

test("pictures come first, and are shared as the text is", async () => {
  const url = async (prefix: "shared" | "distinct", number: number) =>
    (await parts("picture", prefix, number))[0]!.image_url?.url;
  expect(await url("shared", 1)).toMatch(/^data:image\/png;base64,/);
  expect(await url("shared", 1)).toBe(await url("shared", 2));
  expect(await url("distinct", 1)).not.toBe(await url("distinct", 2));
});

test("answers are streams of a fixed length", async () => {
  const body = (await loadRequest({ prompt: "text", prefix: "shared" }, 0, 8)) as Body;
  expect(body).toMatchObject({ stream: true, max_tokens: 8, min_tokens: 8, stream_options: { include_usage: true } });
});
