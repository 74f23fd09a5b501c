/** Reads the pixels of a WebCodecs VideoFrame of a browser or a Node package, from its planes without conversion. */
import { platform } from "#platform";
import { MediaError } from "../../base/errors.js";
import { type Orientation, orientationOfTurn } from "./orientation.js";
import type { Pixels } from "./resize.js";
import { type FrameColour, type FramePlanes, type Plane, planesToRgb } from "./yuv.js";

/** Duck-types a VideoFrame: runtimes and packages have different classes. */
export function isVideoFrame(value: object): value is VideoFrame {
  return "copyTo" in value && "allocationSize" in value && "visibleRect" in value && "colorSpace" in value;
}

/**
 * RGB8 of the visible part, not turned; the frame stays open. `colour` stands in where the frame names no colour space.
 * @throws MediaError for a closed frame, a pixel format or colour matrix that is not known, and one whose planes cannot be
 * read; where the platform can convert those by itself (the browser) it does.
 */
export async function pixelsOfFrame(frame: VideoFrame, where: string, colour?: FrameColour): Promise<Pixels> {
  let planes: FramePlanes | undefined;
  try {
    planes = await planesOf(frame);
  } catch (cause) {
    throw new MediaError({
      where,
      expected: "a VideoFrame that is open",
      got: cause instanceof Error ? cause.message : String(cause),
      remedy: "close frames after the answer",
      cause,
    });
  }
  if (!planes) {
    const converted = platform.readPixels(frame, where);
    if (converted) return converted;
    throw new MediaError({
      where,
      expected: "a frame whose pixels can be read",
      got: "one that only the graphics card holds",
      remedy: "turn hardware video decoding off, or convert the clip to H.264",
    });
  }
  const matrix = frame.colorSpace.matrix ?? colour?.matrix ?? null;
  const fullRange = frame.colorSpace.fullRange ?? colour?.fullRange ?? null;
  return planesToRgb(planes, { matrix, fullRange }, where);
}

/** Copies the planes; undefined for a frame that keeps its format to itself. Some classes throw when closed, others are empty. */
async function planesOf(frame: VideoFrame): Promise<FramePlanes | undefined> {
  const { format, visibleRect } = frame;
  if (frame.codedWidth === 0) throw new Error("a closed one");
  if (format === null || visibleRect === null) return undefined;
  const { width, height } = visibleRect;
  const data = new Uint8Array(frame.allocationSize());
  const planes: readonly Plane[] = await frame.copyTo(data);
  return { format, width, height, data, planes };
}

/** How a frame is to be turned, as an EXIF orientation; TypeScript's library does not have the two attributes yet. */
export function orientationOfFrame(frame: VideoFrame & { rotation?: number; flip?: boolean }): Orientation {
  const { rotation = 0, flip = false } = frame;
  return orientationOfTurn(rotation, flip);
}
