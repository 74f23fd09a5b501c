import type { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { type RunningServer, startServer } from "../../src/server/server.js";

/** Serves a loaded model as `tiny`, on a free port. */
export function serveTiny(model: LlavaOneVision): Promise<RunningServer> {
  return startServer(
    async () => ({
      model,
      name: "tiny",
      embed: async (texts, signal) => ({ vectors: await model.embedText(texts, { signal }), tokens: texts.length }),
    }),
    {
      host: "127.0.0.1",
      port: 0,
      parallel: 2,
      queue: 256,
      // Two hundred requests wait for each other in one test, on any machine.
      timeoutSeconds: 3600,
      maxBodyBytes: 2 ** 20,
      remoteMedia: false,
      gpuBytes: () => model.device.pool.reservedBytes,
      log: (error) => console.error(error),
    },
  );
}
