import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { causeMessage } from "../base/cause-message.js";
import { OptionError, SourceError } from "../base/errors.js";
import { suggestion } from "../base/options.js";
import type { AnswerProgress } from "../models/chat/answer.js";
import type { PromptOptions } from "../models/chat/generate-options.js";
import type { Session } from "../models/chat/session.js";
import type { ImageContent } from "../models/llava-onevision/processor.js";
import type { LlavaOneVision } from "../models/llava-onevision.js";
import { expandHome, mediaInput } from "./input-file.js";

export const COMMANDS_HELP = `\
  /image PATH [PATH …]    adds pictures to the next question, and encodes them
  /video PATH [FRAMES]    adds a clip, sampled to FRAMES frames (16)
  /system TEXT            system prompt; starts a new conversation
  /tokens                 shows the context usage of the conversation
  /save FILE              saves the conversation as JSON, which \`ocellus ask --messages\` reads
  /reset                  clears the conversation
  /help                   this list
  /quit                   quits (so do Ctrl-D, and Ctrl-C when idle)`;

/** The state that commands operate on. */
export interface Chat {
  readonly model: LlavaOneVision;
  session: Session;
  /** The same options as for questions; otherwise the prefill could not be reused. */
  readonly options: PromptOptions;
  readonly say: (text: string) => void;
  readonly onProgress: (progress: AnswerProgress) => void;
}

type Command = (chat: Chat, words: string[], rest: string, signal: AbortSignal) => Promise<void> | void;

const COMMANDS: Readonly<Record<string, Command>> = {
  async image(chat, paths, _rest, signal) {
    wanted(paths, "/image", "the path of a picture");
    const parts: ImageContent[] = [];
    for (const path of paths) parts.push({ type: "image", image: await mediaInput(file(path), "/image") });
    await append(chat, parts, signal);
  },
  async video(chat, [path, frames], _rest, signal) {
    wanted(path, "/video", "the path of a clip");
    const count = frames === undefined ? {} : { frames: Number(frames) };
    await append(chat, [{ type: "video", video: await mediaInput(file(path!), "/video"), ...count }], signal);
  },
  system(chat, _words, rest) {
    chat.session.dispose();
    chat.session = chat.model.createSession(rest === "" ? {} : { system: rest });
  },
  async tokens(chat) {
    const { promptTokens, visualTokens, contextTokens } = await chat.session.measure("", chat.options);
    chat.say(`${promptTokens} of ${contextTokens} tokens, ${visualTokens} of them of pictures`);
  },
  async save(chat, [path]) {
    wanted(path, "/save", "the name of a file");
    const text = `${JSON.stringify(chat.session.messages, bytesAsUrl, 2)}\n`;
    try {
      await writeFile(file(path!), text);
    } catch (cause) {
      throw new SourceError({
        where: path!,
        expected: "a file that can be written",
        got: causeMessage(cause),
        remedy: "check the folder and its permissions",
        cause,
      });
    }
    chat.say(`saved ${chat.session.messages.length} messages`);
  },
  reset(chat) {
    chat.session.reset();
  },
  help(chat) {
    chat.say(COMMANDS_HELP);
  },
};

/** Runs a line that begins with a slash; false if it was `/quit`. Throws OptionError for an unknown command. */
export async function runCommand(chat: Chat, line: string, signal: AbortSignal): Promise<boolean> {
  const [, name = "", rest = ""] = /^\/(\S*)\s*(.*)$/s.exec(line)!;
  if (name === "quit" || name === "exit") return false;
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    throw new OptionError({
      where: `/${name}`,
      expected: `one of ${[...Object.keys(COMMANDS), "quit"].map((known) => `/${known}`).join(", ")}`,
      got: "an unknown command",
      remedy: suggestion(name, [...Object.keys(COMMANDS), "quit"], (known) => `/${known}`) ?? "/help lists them",
    });
  }
  await command(chat, wordsOf(rest), rest, signal);
  return true;
}

async function append(chat: Chat, parts: Parameters<Session["append"]>[0], signal: AbortSignal): Promise<void> {
  const { visualTokens } = await chat.session.append(parts, { ...chat.options, signal, onProgress: chat.onProgress });
  chat.say(`${visualTokens} visual tokens; now ask`);
}

function wanted(value: string | readonly string[] | undefined, command: string, expected: string): void {
  if (value !== undefined && value.length > 0) return;
  throw new OptionError({ where: command, expected, got: "nothing", remedy: `for example ${command} "my file.png"` });
}

/** Splits words like a shell: quotes group, a backslash escapes the next character. */
export function wordsOf(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|((?:\\.|[^\s\\])+)/g)].map(
    ([, double, single, plain]) => double ?? single ?? plain!.replaceAll(/\\(.)/g, "$1"),
  );
}

/** Pictures and clips from pipes are saved within the conversation. */
function bytesAsUrl(_name: string, value: unknown): unknown {
  if (!(value instanceof Uint8Array)) return value;
  return `data:application/octet-stream;base64,${Buffer.from(value.buffer, value.byteOffset, value.length).toString("base64")}`;
}

/** Resolves a path against the working directory; URLs are unchanged. */
function file(path: string): string {
  if (path === "-" || /^(https?|data):/i.test(path)) return path;
  return resolve(expandHome(path));
}
