import { expect, test } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { supportedConfig } from "../../../src/io/video/decode-config.js";
import type { VideoCodecs } from "../../../src/platform/platform.js";
import { clipOf } from "../../support/clip-of.js";

const CLIP = clipOf([0], [0]);

/** Codecs that take what `takes` says, and what they were asked for. */
function codecsOf(takes: (config: VideoDecoderConfig) => boolean, more: Partial<VideoCodecs> = {}) {
  const asked: VideoDecoderConfig[] = [];
  const VideoDecoder = {
    isConfigSupported: async (config: VideoDecoderConfig) => {
      asked.push(config);
      return { supported: takes(config) };
    },
  };
  const codecs = { VideoDecoder, configColour: "replaces", name: "this decoder", remedy: "; or so", ...more };
  return { codecs: codecs as unknown as VideoCodecs, asked };
}

test("software comes first, then whatever there is", async () => {
  const software = codecsOf(() => true);
  expect(await supportedConfig(CLIP, software.codecs)).toEqual({
    codec: "avc1.64001f",
    codedWidth: 2,
    codedHeight: 2,
    hardwareAcceleration: "prefer-software",
  });
  const hardware = codecsOf((config) => config.hardwareAcceleration === "no-preference");
  const description = Uint8Array.of(1);
  const found = await supportedConfig({ ...CLIP, description }, hardware.codecs);
  expect(found).toMatchObject({ hardwareAcceleration: "no-preference", description });
  expect(hardware.asked).toHaveLength(2);
});

test("the container's colours are told where the decoder's word counts, BT.601 where there are none", async () => {
  const { codecs } = codecsOf(() => true, { configColour: "stands in" });
  const none = { matrix: "smpte170m", primaries: "smpte170m", transfer: "smpte170m", fullRange: false };
  expect((await supportedConfig(CLIP, codecs)).colorSpace).toEqual(none);
  const colour = { ...CLIP.colour, matrix: "bt709", fullRange: true };
  expect((await supportedConfig({ ...CLIP, colour }, codecs)).colorSpace).toEqual({
    ...none,
    matrix: "bt709",
    fullRange: true,
  });
});

test.each([
  ["hvc1.1.6.L93.B0", "HEVC (H.265) (hvc1.1.6.L93.B0)"],
  ["V_THEORA", "Theora (V_THEORA)"],
  ["V_MS/VFW/FOURCC XVID", "a codec of Video for Windows (V_MS/VFW/FOURCC XVID)"],
  ["zzzz", 'codec "zzzz"'],
])("%s is named where nothing decodes it", async (codec, got) => {
  const { codecs } = codecsOf(() => false);
  const refused = supportedConfig({ ...CLIP, codec }, codecs);
  await expect(refused).rejects.toThrow(MediaError);
  await expect(refused).rejects.toMatchObject({
    fault: {
      where: "clip",
      expected: "a codec that this decoder decodes",
      got,
      remedy: expect.stringMatching(/libx264.*; or so$/),
    },
  });
});

test("a codec string that a decoder throws at is one that it does not know", async () => {
  const VideoDecoder = { isConfigSupported: () => Promise.reject(new TypeError("unknown")) };
  const { codecs } = codecsOf(() => true, { VideoDecoder } as unknown as Partial<VideoCodecs>);
  await expect(supportedConfig(CLIP, codecs)).rejects.toThrow(MediaError);
});
