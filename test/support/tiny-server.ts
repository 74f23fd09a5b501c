import type { LlavaOneVision } from "../../src/models/llava-onevision.js";
import type { RunningServer } from "../../src/server/server.js";
import { serveHere } from "./server-here.js";

/** Serves a loaded model as `tiny`, on a free port. */
export function serveTiny(model: LlavaOneVision): Promise<RunningServer> {
  return serveHere(
    async () => ({
      model,
      name: "tiny",
      embed: async (texts, signal) => ({ vectors: await model.embedText(texts, { signal }), tokens: texts.length }),
    }),
    // Two hundred requests wait for each other in one test, on any machine.
    { timeoutSeconds: 3600, keepSessions: 2, gpuBytes: model.device.pool.reservedBytes },
  );
}
