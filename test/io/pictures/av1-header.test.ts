import { describe, expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { readAv1Sequence } from "../../../src/io/pictures/av1-header.js";
import { readHeif } from "../../../src/io/pictures/heif-items.js";
import { samplePicture } from "../../support/sample-pictures.js";

/** The coded picture of an AVIF: a stream of OBUs. */
const streamOf = (name: string): Uint8Array => readHeif(samplePicture(name), name).picture.tiles[0]!.data;

describe("readAv1Sequence", () => {
  it("reads size, depth and colour", () => {
    const header = (name: string) => readAv1Sequence(streamOf(name), name);
    expect(header("ae_10_422.avif")).toMatchObject({ width: 37, height: 21, bits: 10, halfX: true, halfY: false });
    expect(header("ae_12_444.avif")).toMatchObject({ bits: 12, halfX: false, monochrome: false, fullRange: true });
    expect(header("av_400_37x21_limited.avif")).toMatchObject({ bits: 8, monochrome: true, fullRange: false });
    expect(header("av_420_37x21_full.avif")).toMatchObject({ halfX: true, halfY: true, fullRange: true });
  });

  it("passes over other OBUs, with a size of several bytes too", () => {
    const stream = streamOf("ae_10_422.avif");
    const delimiter = [0x12, 0];
    // Padding of 130 bytes behind an extension byte.
    const padding = [0x7e, 0, 0x82, 1, ...new Uint8Array(130)];
    const longer = Uint8Array.from([...delimiter, ...padding, ...stream]);
    expect(readAv1Sequence(longer, "x")).toEqual(readAv1Sequence(stream, "x"));
  });

  it("takes a header without a size to go on to the end", () => {
    const stream = streamOf("av_1x1.avif");
    const at = stream.findIndex((byte) => byte >> 3 === 1);
    const lengthBytes = stream[at + 1]!;
    expect(lengthBytes).toBeLessThan(128);
    const sizeless = Uint8Array.of(8, ...stream.subarray(at + 2, at + 2 + lengthBytes));
    expect(readAv1Sequence(sizeless, "x")).toEqual(readAv1Sequence(stream, "x"));
  });

  it("refuses a stream without a sequence header, and one that is cut or of another profile", () => {
    const refusal = (bytes: number[]): MediaError => {
      try {
        readAv1Sequence(Uint8Array.from(bytes), "a.avif");
      } catch (error) {
        expect(error).toBeInstanceOf(MediaError);
        return error as MediaError;
      }
      throw new Error("expected a refusal");
    };
    expect(refusal([]).message).toMatch(/^a\.avif: expected an AV1 sequence header of profile 0 to 2, got none/);
    expect(refusal([0x12, 0]).fault.got).toBe("none");
    expect(refusal([0x0a, 2, 0x18, 0]).fault.got).toBe("2 bytes that are none");
    expect(refusal([0x0a, 9, 0xf8, ...new Uint8Array(8)]).fault.got).toBe("9 bytes that are none");
  });
});
