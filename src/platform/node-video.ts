/** Video decoding in Node, with `@napi-rs/webcodecs`: FFmpeg with the WebCodecs API. */
import { installCommand } from "../base/optional-packages.js";
import { importPackage } from "./node-packages.js";
import type { VideoCodecs } from "./platform.js";

/** Returns the WebCodecs constructors. Throws MissingPackageError if the package is not installed. */
export async function videoCodecs(): Promise<VideoCodecs> {
  const codecs = await importPackage(() => import("@napi-rs/webcodecs"), {
    where: "video in Node",
    expected: "the package @napi-rs/webcodecs, which decodes video in Node",
    remedy: `run \`${installCommand("@napi-rs/webcodecs")}\`, or pass the clip as an array of pictures`,
  });
  return {
    // The package has its own types for the standard interfaces.
    VideoDecoder: codecs.VideoDecoder as unknown as typeof VideoDecoder,
    EncodedVideoChunk: codecs.EncodedVideoChunk as unknown as typeof EncodedVideoChunk,
    // Measured with 1.3.1: a colour space in the configuration replaces the stream's, and none given is reported as null.
    configColour: "replaces",
    name: "@napi-rs/webcodecs in Node",
    remedy: "",
  };
}
