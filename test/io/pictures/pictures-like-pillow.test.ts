import { describe, expect, it } from "vitest";
import { platform } from "#platform";
import { OcellusError } from "../../../src/base/errors.js";
import { decodeImage } from "../../../src/io/pictures/image.js";
import { readFixtureJson } from "../../support/fixture.js";
import { sha256 } from "../../support/pixels.js";

/** A small file in base64, and what the reference reads out of it; see the README of the folder. */
interface Sample {
  data: string;
  refused?: true;
  width?: number;
  height?: number;
  sha256?: string;
  upright?: [width: number, height: number, sha256: string];
}

const samples = await readFixtureJson<Record<string, Sample>>("pictures/pictures.json");
const names = Object.keys(samples);

const bytesOf = (name: string) => Uint8Array.from(atob(samples[name]!.data), (letter) => letter.charCodeAt(0));

/**
 * Files where this runtime differs from the reference; each kind is in the README under "Limitations". Chromium converts AVIF
 * of more than 8 bits, gray AVIF of limited range, and ink in its own way, and reads no TIFF.
 */
const DIFFERENT: Record<string, RegExp> = {
  node: /^$/,
  browser: /^ae_10_|^ae_12_4[02]0|^av_400_.*_limited|^j_cmyk_cut80_eoi|\.tif$/,
};

/** What came out, in the words of {@link Sample}: equal to it where nothing differs. */
async function outcome(name: string, orientation: "apply" | "ignore"): Promise<string> {
  try {
    const { width, height, data } = await decodeImage(bytesOf(name), { label: name, orientation });
    return `${width}×${height} ${await sha256(data)}`;
  } catch (error) {
    if (error instanceof OcellusError && error.code === "MEDIA" && error.message.includes(name)) return "refused";
    throw error;
  }
}

describe("pictures as Pillow reads them", () => {
  it.each(["a", "b", "g", "j", "o", "p", "t", "w"])("files %s_*", async (kind) => {
    const different: string[] = [];
    const wrong: string[] = [];
    for (const name of names.filter((each) => each.startsWith(kind))) {
      const { refused, width, height, sha256: hash, upright } = samples[name]!;
      const stored = refused ? "refused" : `${width}×${height} ${hash}`;
      const turned = upright ? `${upright[0]}×${upright[1]} ${upright[2]}` : stored;
      const same = (await outcome(name, "ignore")) === stored && (await outcome(name, "apply")) === turned;
      if (same) continue;
      (DIFFERENT[platform.name]!.test(name) ? different : wrong).push(name);
    }
    expect(wrong).toEqual([]);
    // A file that is no longer different has no place in the list.
    expect(different).toEqual(names.filter((name) => name.startsWith(kind) && DIFFERENT[platform.name]!.test(name)));
  });
});
