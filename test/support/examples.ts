import type { GenerateOptions } from "../../src/models/chat/generate-options.js";
import type { ChatMessage } from "../../src/models/llava-onevision/processor.js";
import type { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { TINY } from "./checkpoint.js";
import { readFixture, readFixtureJson } from "./fixture.js";

/** One bundled example of the embedded checkpoint, and what the reference implementation answers. */
export interface Example {
  readonly kind: string;
  readonly files: readonly string[];
  readonly video: boolean;
  readonly frames: number | null;
  readonly turns: readonly Turn[];
}

export interface Turn {
  readonly question: string;
  readonly reference_answer: string;
  readonly reference_tokens: readonly number[];
  readonly prompt_length: number;
}

const { examples } = await readFixtureJson<{ examples: Example[] }>(`${TINY}/examples/examples.json`);

export { examples };

/** The first example that shows the file. */
export function exampleOf(file: string): Example {
  const example = examples.find(({ files }) => files.includes(file));
  if (!example) throw new Error(`no example shows ${file}`);
  return example;
}

export function exampleFile(file: string): Promise<Uint8Array> {
  return readFixture(`${TINY}/examples/${file}`);
}

/** One turn of an example as a conversation of its own. */
export async function messagesOf(example: Example, turn: Turn): Promise<ChatMessage[]> {
  const files = await Promise.all(example.files.map(exampleFile));
  const media = files.map((file) =>
    example.video
      ? { type: "video" as const, video: file, ...(example.frames !== null && { frames: example.frames }) }
      : { type: "image" as const, image: file },
  );
  return [{ role: "user", content: [...media, { type: "text", text: turn.question }] }];
}

/** The answer's tokens, from a session of its own. */
export async function answerOf(
  model: LlavaOneVision,
  messages: readonly ChatMessage[],
  options: GenerateOptions = {},
): Promise<readonly number[]> {
  const session = model.createSession();
  try {
    return (await session.generate(messages, options).result).tokens;
  } finally {
    session.dispose();
  }
}
