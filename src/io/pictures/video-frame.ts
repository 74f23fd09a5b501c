/** Reads the pixels of a WebCodecs VideoFrame, of a browser or a Node package, from its unconverted planes. */
import { platform } from "#platform";
import { causeMessage } from "../../base/cause-message.js";
import { MediaError } from "../../base/errors.js";
import { type Orientation, orientationOfTurn } from "./orientation.js";
import type { Pixels } from "./resize.js";
import { type FrameColour, type FramePlanes, type Plane, planesToRgb } from "./yuv.js";

/**
 * Returns RGB8 of the visible rectangle; rotation is not applied, and the frame is not closed. `colour`: default for properties that the
 * frame's colour space lacks. Frames whose planes cannot be read are converted by the platform, if it can (browsers).
 * @throws MediaError for a closed frame, an unsupported pixel format or colour matrix, and a frame that cannot be read.
 */
export async function pixelsOfFrame(frame: VideoFrame, where: string, colour?: FrameColour): Promise<Pixels> {
  let planes: FramePlanes | undefined;
  try {
    planes = await planesOf(frame);
  } catch (cause) {
    throw new MediaError({
      where,
      expected: "a VideoFrame that is open",
      got: causeMessage(cause),
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
      got: "a frame in GPU memory that cannot be copied",
      remedy: "turn hardware video decoding off, or convert the clip to H.264",
    });
  }
  const matrix = frame.colorSpace.matrix ?? colour?.matrix ?? null;
  const fullRange = frame.colorSpace.fullRange ?? colour?.fullRange ?? null;
  return planesToRgb(planes, { matrix, fullRange }, where);
}

/** Copies the planes; undefined for a frame of unknown format. Closed frames of some classes throw, others are empty. */
async function planesOf(frame: VideoFrame): Promise<FramePlanes | undefined> {
  const { format, visibleRect } = frame;
  if (frame.codedWidth === 0) throw new Error("a closed one");
  if (format === null || visibleRect === null) return undefined;
  const { width, height } = visibleRect;
  const data = new Uint8Array(frame.allocationSize());
  const planes: readonly Plane[] = await frame.copyTo(data);
  return { format, width, height, data, planes };
}

/** Returns rotation and flip of a frame as an EXIF orientation; TypeScript's library lacks the two attributes. */
export function orientationOfFrame(frame: VideoFrame & { rotation?: number; flip?: boolean }): Orientation {
  const { rotation = 0, flip = false } = frame;
  return orientationOfTurn(rotation, flip);
}
