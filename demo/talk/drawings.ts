import { signal } from "@preact/signals";
import type { Painted } from "ocellus/drawings";
import { keep, recall } from "../remembered.js";

/** Outcomes that are remembered. */
const MOST = 20;
/** Under this name this browser remembers them. */
const STORED = "ocellus drawings";

/** Whether the answers about the latest fresh drawings were right, the newest last. */
export const outcomes = signal<readonly boolean[]>(stored());

export function remember(isRight: boolean): void {
  outcomes.value = [...outcomes.value, isRight].slice(-MOST);
  keep(STORED, JSON.stringify(outcomes.value));
}

function stored(): boolean[] {
  try {
    const value: unknown = JSON.parse(recall(STORED) ?? "[]");
    return Array.isArray(value) ? value.filter((one) => typeof one === "boolean").slice(-MOST) : [];
  } catch {
    return [];
  }
}

/** A fresh drawing with one question, as files that can be attached. */
export interface Drawn {
  readonly files: readonly File[];
  /** Frames of each clip. */
  readonly frames: number | undefined;
  readonly question: string;
  readonly answer: string;
}

/** Draws something that was not drawn before, and chooses a question about it. */
export async function draw(): Promise<Drawn> {
  const { freshDrawing, KINDS } = await import("ocellus/drawings");
  const seed = Math.floor(Math.random() * 2 ** 31);
  const codec = await clipCodec();
  const kinds = codec ? KINDS : KINDS.filter((kind) => kind !== "clip" && kind !== "clips");
  const kind = kinds[Math.floor(Math.random() * kinds.length)]!;
  const { pictures, clips, turns } = freshDrawing(kind, seed);
  const { question, answer } = turns[Math.floor(Math.random() * turns.length)]!;
  const files = [
    ...(await Promise.all(pictures.map((picture, i) => pngOf(picture, `${kind}-${i + 1}.png`)))),
    ...(await Promise.all(clips.map((frames, i) => clipOf(frames, codec!, `clip-${i + 1}.webm`)))),
  ];
  return { files, frames: clips[0]?.length, question, answer };
}

function canvasOf({ width, height }: Painted): { canvas: OffscreenCanvas; context: OffscreenCanvasRenderingContext2D } {
  const canvas = new OffscreenCanvas(width, height);
  return { canvas, context: canvas.getContext("2d")! };
}

function imageDataOf({ data, width, height }: Painted): ImageData {
  return new ImageData(new Uint8ClampedArray(data), width, height);
}

export async function pngOf(picture: Painted, name: string): Promise<File> {
  const { canvas, context } = canvasOf(picture);
  context.putImageData(imageDataOf(picture), 0, 0);
  return new File([await canvas.convertToBlob({ type: "image/png" })], name, { type: "image/png" });
}

const FRAMES_PER_SECOND = 2;
/** Bits per second: enough that edges stay sharp. */
const BITRATE = 2_000_000;

/** A codec that this browser can write, and read again; null if there is none. */
async function clipCodec(): Promise<"vp9" | "vp8" | null> {
  if (!("VideoEncoder" in globalThis)) return null;
  const { getFirstEncodableVideoCodec } = await import("mediabunny");
  const codec = await getFirstEncodableVideoCodec(["vp9", "vp8"], { width: 126, height: 126, bitrate: BITRATE });
  return codec as "vp9" | "vp8" | null;
}

async function clipOf(frames: readonly Painted[], codec: "vp9" | "vp8", name: string): Promise<File> {
  const { BufferTarget, CanvasSource, Output, WebMOutputFormat } = await import("mediabunny");
  const target = new BufferTarget();
  const output = new Output({ format: new WebMOutputFormat(), target });
  const { canvas, context } = canvasOf(frames[0]!);
  const source = new CanvasSource(canvas, { codec, bitrate: BITRATE });
  output.addVideoTrack(source, { frameRate: FRAMES_PER_SECOND });
  await output.start();
  for (const [i, frame] of frames.entries()) {
    context.putImageData(imageDataOf(frame), 0, 0);
    await source.add(i / FRAMES_PER_SECOND, 1 / FRAMES_PER_SECOND);
  }
  await output.finalize();
  return new File([target.buffer!], name, { type: "video/webm" });
}
