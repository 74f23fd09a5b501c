/** Decoder configuration of a clip, and the error for a missing codec. */

import { MediaError } from "../../base/errors.js";
import type { VideoCodecs } from "../../platform/platform.js";
import { printableAscii } from "../bytes/printable-ascii.js";
import type { ClipColour, ClipIndex } from "./clip-index.js";

/** Names of codecs for error messages, by the first four letters of the codec string or by Matroska's codec id. */
const CODEC_NAMES: Record<string, string> = {
  avc1: "H.264",
  avc3: "H.264",
  hvc1: "HEVC (H.265)",
  hev1: "HEVC (H.265)",
  dvh1: "Dolby Vision",
  dvhe: "Dolby Vision",
  vvc1: "VVC (H.266)",
  vp08: "VP8",
  vp8: "VP8",
  vp09: "VP9",
  av01: "AV1",
  mp4v: "MPEG-4 part 2",
  s263: "H.263",
  jpeg: "Motion JPEG",
  mjpa: "Motion JPEG",
  apch: "ProRes",
  apcn: "ProRes",
  apcs: "ProRes",
  apco: "ProRes",
  ap4h: "ProRes",
  encv: "an encrypted codec",
  V_THEORA: "Theora",
  V_MJPEG: "Motion JPEG",
  V_MPEG1: "MPEG-1",
  V_MPEG2: "MPEG-2",
  "V_MPEG4/ISO/SP": "MPEG-4 part 2",
  "V_MPEG4/ISO/ASP": "MPEG-4 part 2",
  "V_MPEG4/ISO/AP": "MPEG-4 part 2",
  "V_MPEG4/MS/V3": "MS-MPEG-4",
  V_FFV1: "FFV1",
  V_UNCOMPRESSED: "uncompressed video",
  "V_MPEGI/ISO/VVC": "VVC (H.266)",
  "V_MPEG4/ISO/AVC": "H.264",
  "V_MPEGH/ISO/HEVC": "HEVC (H.265)",
  "V_MS/VFW/FOURCC": "a codec of Video for Windows",
};

/**
 * Returns a configuration that the decoder supports: software decoding, whose frames have readable planes, else its own preference.
 * @throws MediaError naming the codec if there is none.
 */
export async function supportedConfig(clip: ClipIndex, codecs: VideoCodecs): Promise<VideoDecoderConfig> {
  const config: VideoDecoderConfig = {
    codec: clip.codec,
    codedWidth: clip.width,
    codedHeight: clip.height,
    ...(clip.description && { description: clip.description }),
    ...(codecs.configColour === "stands in" && { colorSpace: colourSpace(clip.colour) }),
  };
  for (const hardwareAcceleration of ["prefer-software", "no-preference"] as const) {
    const tried = { ...config, hardwareAcceleration };
    // Some decoders throw for an unknown codec string.
    const support = await codecs.VideoDecoder.isConfigSupported(tried).catch(() => undefined);
    if (support?.supported) return tried;
  }
  const name = CODEC_NAMES[clip.codec.slice(0, 4)] ?? CODEC_NAMES[clip.codec.split(" ")[0]!];
  throw new MediaError({
    where: clip.label,
    expected: `a codec that ${codecs.name} decodes`,
    got: name ? `${name} (${printableAscii(clip.codec)})` : `codec "${printableAscii(clip.codec)}"`,
    remedy: `convert it to H.264: ffmpeg -i in.mp4 -c:v libx264 -pix_fmt yuv420p out.mp4${codecs.remedy}`,
  });
}

/** Returns the container's colour space, completed by the reference's defaults; browsers would guess by the frame size. */
function colourSpace(colour: ClipColour): VideoColorSpaceInit {
  return {
    matrix: (colour.matrix ?? "smpte170m") as VideoMatrixCoefficients,
    primaries: (colour.primaries ?? "smpte170m") as VideoColorPrimaries,
    transfer: (colour.transfer ?? "smpte170m") as VideoTransferCharacteristics,
    fullRange: colour.fullRange ?? false,
  };
}
