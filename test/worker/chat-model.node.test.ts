import { expectTypeOf, test } from "vitest";
import type { Answer } from "../../src/models/chat/answer.js";
import type { ChatModel, ChatSession } from "../../src/models/chat/chat-model.js";
import type { Session } from "../../src/models/chat/session.js";
import type { LlavaOneVision } from "../../src/models/llava-onevision.js";
import type { WorkerModel, WorkerSession } from "../../src/worker/index.js";

// Checked by the compiler: a program that takes one takes the other.

test("models and sessions have one interface, in a worker or not", () => {
  expectTypeOf<LlavaOneVision>().toExtend<ChatModel>();
  expectTypeOf<WorkerModel>().toExtend<ChatModel>();
  expectTypeOf<Session>().toExtend<ChatSession>();
  expectTypeOf<WorkerSession>().toExtend<ChatSession>();
  expectTypeOf<ReturnType<ChatSession["generate"]>>().toExtend<Answer>();
  // All of a session's public methods, its model aside.
  expectTypeOf<Exclude<keyof Session, "model">>().toEqualTypeOf<keyof ChatSession>();
});
