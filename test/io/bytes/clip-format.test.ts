import { describe, expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { clipFormat, unknownClip } from "../../../src/io/bytes/clip-format.js";
import { readFrames } from "../../../src/io/video/video.js";
import { ascii, concat } from "../../support/mp4.js";

const packets = (lengthBytes: number, first: number): Uint8Array => {
  const bytes = new Uint8Array(lengthBytes * 4);
  for (let at = first; at < bytes.length; at += lengthBytes) bytes[at] = 0x47;
  return bytes;
};

describe("clips by what they begin with", () => {
  it("knows those that are read", () => {
    expect(clipFormat(Uint8Array.from(ascii("GIF89a")))).toBe("gif");
    expect(clipFormat(Uint8Array.from(ascii("RIFF....WEBP")))).toBe("webp");
    expect(clipFormat(Uint8Array.of(0x1a, 0x45, 0xdf, 0xa3))).toBe("matroska");
    expect(clipFormat(Uint8Array.from(ascii("....ftypisom")))).toBe("mp4");
    expect(clipFormat(new Uint8Array())).toBe("mp4");
    // A box of 64 bits begins like a bare stream of H.264.
    expect(clipFormat(concat([0, 0, 0, 1], ascii("mdat"), new Uint8Array(8)))).toBe("mp4");
    expect(clipFormat(Uint8Array.from(ascii("Good morning")))).toBeUndefined();
  });

  it.each<[string, Uint8Array]>([
    ["an AVI file", Uint8Array.from(ascii("RIFF....AVI LIST"))],
    ["an Ogg file", Uint8Array.from(ascii("OggS............"))],
    ["a Flash video (FLV)", Uint8Array.from(ascii("FLV\x01............"))],
    ["an MPEG transport stream (TS)", packets(188, 0)],
    ["an MPEG transport stream (TS)", packets(192, 4)],
    ["an MPEG program stream", concat([0, 0, 1, 0xba], new Uint8Array(20))],
    ["a Windows Media file (ASF, WMV)", concat([0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11], new Uint8Array(20))],
    ["a bare stream of a codec, such as H.264", concat([0, 0, 0, 1, 0x67], new Uint8Array(20))],
  ])("names %s and says how to move it into an MP4", async (name, bytes) => {
    const error = await readFrames(bytes, { label: "clip" })
      .next()
      .then(String, (e: unknown) => e);
    expect(error).toBeInstanceOf(MediaError);
    expect((error as MediaError).message).toContain(`got ${name} — move it into an MP4: ffmpeg -i in -c copy out.mp4`);
  });

  it("does not take any text or byte for a container", () => {
    const got = (text: string): string => unknownClip("clip", Uint8Array.from(ascii(text))).fault.got;
    expect(got("Good morning")).toBe('text beginning with "Good morning"');
    expect(got("#EXTM3U\n#EXT-X-V")).toContain("a playlist (HLS)");
    expect(got("\x00\x01\x02\x03")).toBe("unknown bytes 00 01 02 03");
  });
});
