import { Device, LlavaOneVision } from "ocellus";
import * as bench from "ocellus/bench";
import { MediaError } from "ocellus/errors";
import { ChatCompletions } from "ocellus/openai";
import { enqueue, JobQueue } from "ocellus/queue";
import { constrain } from "ocellus/structure";
import * as tensor from "ocellus/tensor";
import { serve, WorkerModel } from "ocellus/worker";

// A program that names nothing of the web platform: it compiles with and without the types of the DOM, Node and WebGPU, and so do its
// misuses. Never run: consumers.node.test.ts compiles it.

export async function program(file: Uint8Array): Promise<string> {
  const model = await LlavaOneVision.load("folder", { dtype: "q8" });
  const session = model.createSession({ system: "Be brief." });
  // @ts-expect-error a picture is no number
  session.generate([{ type: "image", image: 42 }]);
  // @ts-expect-error a picture has pixels
  session.generate([{ type: "image", image: { width: 1, height: 1 } }]);
  // @ts-expect-error a clip is no number
  session.generate([{ type: "video", video: 42 }]);
  // @ts-expect-error a signal is no text
  session.generate("What?", { signal: "nope" });
  // @ts-expect-error a number in words
  session.generate("What?", { maxNewTokens: "3" });
  // @ts-expect-error unknown option
  session.generate("What?", { maxTokens: 3 });
  // @ts-expect-error no such type
  await LlavaOneVision.load("folder", { dtype: "int4" });
  // @ts-expect-error a number is no location
  await LlavaOneVision.load(42);
  // @ts-expect-error a number is no device
  Device.from(42);
  // @ts-expect-error a text is no worker
  await WorkerModel.load("worker", "folder");
  // @ts-expect-error a structure is an object
  await constrain("yes|no", { tokens: [file], eosTokens: [] });
  // @ts-expect-error a request has a method
  await enqueue("redis://localhost", [{ custom_id: "a", url: "/v1/responses", body: {} }]);
  // @ts-expect-error embeddings are no batch
  await enqueue("redis://localhost", [{ custom_id: "a", method: "POST", url: "/v1/embeddings", body: {} }]);
  const queue = await JobQueue.connect("redis://localhost");
  for await (const { custom_id } of queue.run([])) custom_id?.toUpperCase();
  const limit: number = model.device.gpu.limits.maxBufferSize;
  const { text } = await session.generate([{ type: "image", image: file }]).result;
  return `${text} ${limit}`;
}

export { bench, ChatCompletions, MediaError, serve, tensor };
