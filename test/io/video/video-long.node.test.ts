import { VideoEncoder, VideoFrame } from "@napi-rs/webcodecs";
import { expect, it } from "vitest";
import { readFrames } from "../../../src/io/video/video.js";
import { ascii, avc1, box, concat, madeUpSource, moov, u32, u64 } from "../../support/mp4.js";
import { random } from "../../support/random.js";

const WIDTH = 1920;
const HEIGHT = 1080;
const FPS = 30;
const GROUP_FRAMES = 60;
const GROUPS = (60 * 60 * FPS) / GROUP_FRAMES;
/** The media begins past 4 GiB: the file must not be held, and its offsets take 64 bits. */
const MEDIA_START = 2 ** 32 + 1000;

interface Encoded {
  description: Uint8Array;
  samples: Uint8Array[];
}

/** A group of pictures that carry their number: a band of 8 blocks, most significant bit left, white 1. */
async function encodeGroup(): Promise<Encoded> {
  const samples: Uint8Array[] = [];
  let description: Uint8Array | undefined;
  let fault: Error | undefined;
  const encoder = new VideoEncoder({
    output: (chunk, metadata) => {
      const bytes = new Uint8Array(chunk.byteLength);
      chunk.copyTo(bytes);
      samples.push(bytes);
      description ??= metadata?.decoderConfig?.description?.slice();
    },
    error: (error) => {
      fault = error;
    },
  });
  encoder.configure({
    codec: "avc1.640028",
    width: WIDTH,
    height: HEIGHT,
    bitrate: 6_000_000,
    framerate: FPS,
    latencyMode: "realtime", // no B-frames: chunks come in the order of time
    avc: { format: "avc" },
  });
  const next = random(1);
  const pixels = new Uint8Array((WIDTH * HEIGHT * 3) / 2).fill(128);
  for (let number = 0; number < GROUP_FRAMES; number++) {
    for (let y = 0; y < 96; y++) {
      for (let bit = 0; bit < 8; bit++) {
        pixels.fill((number >> (7 - bit)) & 1 ? 235 : 16, y * WIDTH + bit * 240, y * WIDTH + (bit + 1) * 240);
      }
    }
    // Something that moves, or the samples would be next to nothing.
    for (let y = 300; y < 500; y++)
      for (let x = 0; x < 300; x++) pixels[y * WIDTH + number * 20 + x] = 60 + next() * 120;
    const frame = new VideoFrame(pixels, {
      format: "I420",
      codedWidth: WIDTH,
      codedHeight: HEIGHT,
      timestamp: Math.round((number / FPS) * 1e6),
    });
    encoder.encode(frame, { keyFrame: number === 0 });
    frame.close();
  }
  await encoder.flush();
  encoder.close();
  if (fault || !description) throw fault ?? new Error("the encoder gave no avcC");
  return { description, samples };
}

it("takes 16 frames of an hour of 1080p from no more than their groups of pictures", async () => {
  const { description, samples } = await encodeGroup();
  expect(samples).toHaveLength(GROUP_FRAMES);
  const group = concat(...samples);
  const starts = samples.map((_, i) => samples.slice(0, i).reduce((sum, sample) => sum + sample.length, 0));
  const mediaBytes = group.length * GROUPS;

  const table = Array.from({ length: GROUPS * GROUP_FRAMES }, (_, i) => ({
    offsetBytes: MEDIA_START + Math.floor(i / GROUP_FRAMES) * group.length + starts[i % GROUP_FRAMES]!,
    sizeBytes: samples[i % GROUP_FRAMES]!.length,
    durationTicks: 1,
    isKeyframe: i % GROUP_FRAMES === 0,
  }));
  const ftyp = box("ftyp", ascii("isom"), u32(0), ascii("isom"));
  const head = concat(ftyp, u32(1), ascii("mdat"), u64(MEDIA_START + mediaBytes - ftyp.length));
  const entry = avc1(WIDTH, HEIGHT, description);
  const index = moov([{ entry, timescale: FPS, samples: table }]);
  const indexStart = MEDIA_START + mediaBytes;
  const source = madeUpSource("long.mp4", indexStart + index.length, (offset, length) => {
    if (offset >= indexStart) return index.slice(offset - indexStart, offset - indexStart + length);
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      const at = offset + i;
      if (at < head.length) bytes[i] = head[at]!;
      else if (at >= MEDIA_START) bytes[i] = group[(at - MEDIA_START) % group.length]!;
    }
    return bytes;
  });

  const seen: [index: number, code: number, seconds: number][] = [];
  for await (const { picture, index, timestampSeconds } of readFrames(source, { frames: 16 })) {
    expect([picture.width, picture.height]).toEqual([WIDTH, HEIGHT]);
    let code = 0;
    for (let bit = 0; bit < 8; bit++)
      code = code * 2 + (picture.data[(48 * WIDTH + bit * 240 + 120) * 3 + 1]! > 127 ? 1 : 0);
    seen.push([index, code, timestampSeconds!]);
  }
  const wanted = Array.from({ length: 16 }, (_, i) => Math.floor(i * ((table.length - 1) / 15)));
  expect(seen).toEqual(wanted.map((i) => [i, i % GROUP_FRAMES, i / FPS]));

  // Of each group no more than from its keyframe to the wanted frame, and of the rest the index and a few headers.
  const needed = wanted.map(
    (i) => table[i]!.offsetBytes + table[i]!.sizeBytes - table[i - (i % GROUP_FRAMES)]!.offsetBytes,
  );
  const media = source.reads.filter(({ offsetBytes }) => offsetBytes >= MEDIA_START && offsetBytes < indexStart);
  expect(media.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)).toBe(
    needed.reduce((sum, bytes) => sum + bytes, 0),
  );
  // Of what the file holds (the hole before the media is not counted) less than one part in twenty.
  expect(source.bytesRead).toBeLessThan((mediaBytes + index.length) / 20);
  expect(source.bytesRead - media.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)).toBeLessThan(
    index.length + 20_000,
  );
});
