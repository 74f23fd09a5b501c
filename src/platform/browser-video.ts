/** Video decoding in browsers, with WebCodecs. */
import { MediaError } from "../base/errors.js";
import type { VideoCodecs } from "./platform.js";

/** Returns the WebCodecs constructors. Throws MediaError if the browser, or an insecure page, has none. */
export async function videoCodecs(): Promise<VideoCodecs> {
  const decoder: typeof VideoDecoder | undefined = globalThis.VideoDecoder;
  const chunk: typeof EncodedVideoChunk | undefined = globalThis.EncodedVideoChunk;
  if (!decoder || !chunk) {
    const insecure = globalThis.isSecureContext === false;
    throw new MediaError({
      where: "VideoDecoder",
      expected: "a browser with WebCodecs",
      got: insecure ? "a page outside a secure context, where browsers hide it" : "undefined",
      remedy: insecure
        ? "serve the page over https, or from localhost"
        : "use a current Chrome, Edge, Safari or Firefox, or pass the clip as an array of pictures",
    });
  }
  return {
    VideoDecoder: decoder,
    EncodedVideoChunk: chunk,
    // Measured with Chromium 147: the stream's own colour space wins over the configuration's; without both it guesses bt709.
    configColour: "stands in",
    name: "this browser",
    remedy: ", or use another browser (HEVC needs one with a hardware decoder for it), or Node",
  };
}
