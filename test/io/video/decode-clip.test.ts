import { describe, expect, it } from "vitest";
import { AbortedError, MediaError } from "../../../src/base/errors.js";
import { bytesSource } from "../../../src/io/bytes/source.js";
import { decodeFrames } from "../../../src/io/video/decode-clip.js";
import type { VideoCodecs } from "../../../src/platform/platform.js";
import { clipOf } from "../../support/clip-of.js";

/** A decoder that takes everything; what it gives is the test's business. */
function fakeCodecs(behaviour: {
  onDecode?: (output: (frame: VideoFrame) => void, error: (error: Error) => void) => void;
  flush: () => Promise<void>;
  supported?: boolean;
}) {
  const log = { closed: 0, framesOpen: 0 };
  const frame = (): VideoFrame => {
    log.framesOpen++;
    return {
      format: "I420",
      visibleRect: { width: 2, height: 2 },
      colorSpace: { matrix: null, fullRange: null },
      allocationSize: () => 6,
      copyTo: async (data: Uint8Array) => {
        data.fill(128);
        return [0, 4, 5].map((offset, i) => ({ offset, stride: i ? 1 : 2 }));
      },
      close: () => {
        log.framesOpen--;
      },
    } as unknown as VideoFrame;
  };
  class Decoder {
    static isConfigSupported = async () => ({ supported: behaviour.supported ?? true });
    state = "unconfigured";
    decodeQueueSize = 0;
    constructor(readonly init: { output: (frame: VideoFrame) => void; error: (error: Error) => void }) {}
    addEventListener() {}
    configure() {
      this.state = "configured";
    }
    decode() {
      (behaviour.onDecode ?? ((output) => output(frame())))(this.init.output, this.init.error);
    }
    flush = () => behaviour.flush();
    close() {
      this.state = "closed";
      log.closed++;
    }
  }
  const codecs = {
    VideoDecoder: Decoder,
    EncodedVideoChunk: class {},
    configColour: "replaces",
    name: "a fake decoder",
    remedy: "",
  } as unknown as VideoCodecs;
  return { codecs, log, frame };
}

describe("decodeFrames", () => {
  const clip = clipOf([0, 1, 2, 3], [0]);
  const source = bytesSource(new Uint8Array(40), "clip");
  const options = { stallMilliseconds: 200 };

  async function run(codecs: VideoCodecs, wanted = [0, 1, 2, 3], more: object = {}): Promise<number[]> {
    const frames: number[] = [];
    for await (const { frame } of decodeFrames(source, clip, wanted, codecs, { ...options, ...more }))
      frames.push(frame);
    return frames;
  }

  it("closes every frame, and the decoder", async () => {
    const { codecs, log } = fakeCodecs({ flush: async () => undefined });
    expect(await run(codecs, [1, 3])).toEqual([1, 3]);
    expect(log).toEqual({ closed: 1, framesOpen: 0 });
  });

  it("closes both when the caller leaves", async () => {
    const { codecs, log } = fakeCodecs({ flush: async () => undefined });
    for await (const _ of decodeFrames(source, clip, [0, 1, 2, 3], codecs, options)) break;
    expect(log).toEqual({ closed: 1, framesOpen: 0 });
  });

  it("gives up on a stalled decoder", async () => {
    const { codecs, log } = fakeCodecs({ onDecode: () => undefined, flush: () => new Promise(() => undefined) });
    await expect(run(codecs)).rejects.toThrow(/no frame and no error for 0.2 s/);
    expect(log.closed).toBe(1);
  });

  it("stops a stalled decoder on abort", async () => {
    const { codecs } = fakeCodecs({ onDecode: () => undefined, flush: () => new Promise(() => undefined) });
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 20);
    const more = { signal: controller.signal, stallMilliseconds: 60_000 };
    await expect(run(codecs, [0], more)).rejects.toBeInstanceOf(AbortedError);
  });

  it("reports a decoder's error, a failed flush, and a wrong number of frames", async () => {
    const broken = fakeCodecs({ onDecode: (_, error) => error(new Error("bad slice")), flush: async () => undefined });
    await expect(run(broken.codecs)).rejects.toThrow(/bad slice/);
    const unflushed = fakeCodecs({ flush: async () => Promise.reject(new Error("closed")) });
    await expect(run(unflushed.codecs)).rejects.toThrow(MediaError);
    const { codecs, log } = fakeCodecs({ onDecode: () => undefined, flush: async () => undefined });
    await expect(run(codecs)).rejects.toThrow(/0 frames from 4 samples/);
    expect(log).toEqual({ closed: 1, framesOpen: 0 });
  });

  it("names the codec before it opens a decoder", async () => {
    const { codecs, log } = fakeCodecs({ supported: false, flush: async () => undefined });
    await expect(run(codecs)).rejects.toThrow(/H\.264 \(avc1\.64001f\)/);
    expect(log.closed).toBe(0);
  });
});
