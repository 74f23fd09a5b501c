import { OptionError, PromptError, shown } from "../base/errors.js";
import { checkOptions } from "../base/options.js";
import type { ContentPart } from "../models/chat/conversation.js";
import type { ChatMessage } from "../models/llava-onevision/processor.js";
import type { PromptMessage, Warning } from "./specification.js";

/** An object of a prompt, not yet checked. */
type Fields = Readonly<Record<string, unknown>>;

const ROLES: readonly string[] = ["system", "user", "assistant"];
const NO_TOOLS = "leave tools out: they are not called here; put what a tool said into a user message";

/** Converts a prompt of the AI SDK to messages. Adds a warning for content that is left out. Throws PromptError and OptionError. */
export function readPrompt(prompt: readonly PromptMessage[], warnings: Warning[]): ChatMessage[] {
  return prompt.map(({ role, content }, i) => {
    const where = `prompt[${i}]`;
    if (!ROLES.includes(role)) {
      throw new PromptError({ where: `${where}.role`, expected: ROLES.join(", "), got: shown(role), remedy: NO_TOOLS });
    }
    if (typeof content === "string") return { role: role as ChatMessage["role"], content };
    const parts = (content as readonly Fields[]).flatMap((part, j) => partOf(`${where}.content[${j}]`, part, warnings));
    // An answer of reasoning alone has no parts left.
    return { role: role as ChatMessage["role"], content: parts.length > 0 ? parts : "" };
  });
}

function partOf(where: string, part: Fields, warnings: Warning[]): ContentPart[] {
  const { type } = part;
  if (type === "text") return [{ type, text: part.text as string }];
  if (type === "file") return [fileOf(where, part)];
  if (type === "reasoning") {
    warnings.push({ type: "other", message: `${where}: the reasoning of an earlier answer is not part of the prompt` });
    return [];
  }
  const remedy = typeof type === "string" && /^tool|approval/.test(type) ? NO_TOOLS : "send text, pictures and clips";
  throw new PromptError({ where, expected: "a text or a file", got: shown(type), remedy });
}

function fileOf(where: string, part: Fields): ContentPart {
  const mediaType = String(part.mediaType).toLowerCase();
  const kind = mediaType.split("/")[0];
  const data = part.data as Fields | string | URL | Uint8Array;
  // Version 4 tags the data, version 3 does not.
  const tagged = typeof data === "object" && "type" in data ? (data as Fields) : undefined;
  if (tagged?.type === "text") return { type: "text", text: String(tagged.text) };
  if (kind !== "image" && kind !== "video") {
    throw new PromptError({
      where: `${where}.mediaType`,
      expected: "image/… or video/…",
      got: shown(part.mediaType),
      remedy:
        kind === "text"
          ? "send the text as a text part"
          : "send text, pictures and clips: other files are not supported",
    });
  }
  const bytes = bytesOf(where, tagged ? (tagged.data ?? tagged.url ?? tagged) : data);
  const own = ((part.providerOptions as Fields | undefined)?.ocellus ?? {}) as { frames?: number; track?: number };
  checkOptions(`${where}.providerOptions.ocellus`, own, kind === "video" ? ["frames", "track"] : []);
  if (kind === "image") return { type: "image", image: bytes };
  const { frames, track } = own;
  return {
    type: "video",
    video: bytes,
    ...(frames !== undefined && { frames }),
    ...(track !== undefined && { track }),
  };
}

/** The bytes of a file. URLs are not read: the AI SDK downloads them, and a client must not make a program read its files. */
function bytesOf(where: string, data: unknown): Uint8Array {
  if (data instanceof Uint8Array) return data;
  if (typeof data === "string" && !/^(?:https?|file):/i.test(data)) {
    try {
      const binary = atob(data.replace(/^data:[^,]*;base64,/i, ""));
      const bytes = new Uint8Array(binary.length);
      for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
      return bytes;
    } catch {
      // Falls through to the error.
    }
  }
  throw new OptionError({
    where: `${where}.data`,
    expected: "the bytes of a file, or their base64",
    got: data instanceof URL ? "a URL" : shown(data),
    remedy: "pass the bytes: the AI SDK downloads http and https URLs, other URLs are not read",
  });
}
