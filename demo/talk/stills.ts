/** A small picture of one moment of a clip. */
export interface Still {
  readonly seconds: number;
  readonly url: string;
}

export interface Stills {
  readonly durationSeconds: number;
  readonly stills: readonly Still[];
}

/** Height of the pictures in pixels. */
const HEIGHT = 96;
/** Added to a time, because a time that was rounded down shows the frame before it. */
const INTO_FRAME_SECONDS = 1e-3;

/**
 * Returns small pictures of a clip, which `url` names, at the given times, from the browser's own player or decoder of animated pictures.
 * The model gets its frames from another decoder.
 */
export function stillsOf(file: File, url: string, seconds: readonly number[], signal: AbortSignal): Promise<Stills> {
  return file.type.startsWith("image/") ? framesOf(file, seconds, signal) : momentsOf(url, seconds, signal);
}

/** From an animated picture. */
async function framesOf(file: File, seconds: readonly number[], signal: AbortSignal): Promise<Stills> {
  const decoder = new ImageDecoder({ data: file.stream(), type: file.type });
  try {
    await decoder.completed;
    const count = decoder.tracks.selectedTrack?.frameCount ?? 0;
    const stills: Still[] = [];
    let end = 0;
    for (let frameIndex = 0; frameIndex < count; frameIndex++) {
      signal.throwIfAborted();
      const { image } = await decoder.decode({ frameIndex });
      const begin = end;
      end += (image.duration ?? 0) / 1e6;
      const isLast = frameIndex === count - 1;
      for (const at of seconds) {
        const isShown = at + INTO_FRAME_SECONDS >= begin && (at + INTO_FRAME_SECONDS < end || isLast);
        if (isShown) stills.push(await still(at, image, image.displayWidth, image.displayHeight));
      }
      image.close();
    }
    return { durationSeconds: end, stills };
  } finally {
    decoder.close();
  }
}

async function still(seconds: number, source: CanvasImageSource, width: number, height: number): Promise<Still> {
  const canvas = document.createElement("canvas");
  canvas.height = HEIGHT;
  canvas.width = Math.max(1, Math.round((width * HEIGHT) / height));
  canvas.getContext("2d")!.drawImage(source, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/webp", 0.8));
  if (!blob) throw new Error("the canvas gave no picture");
  return { seconds, url: URL.createObjectURL(blob) };
}

async function momentsOf(url: string, seconds: readonly number[], signal: AbortSignal): Promise<Stills> {
  const player = document.createElement("video");
  player.muted = true;
  player.preload = "auto";
  player.src = url;
  try {
    await happened(player, "loadeddata", signal);
    const stills: Still[] = [];
    for (const at of seconds) {
      const sought = happened(player, "seeked", signal);
      player.currentTime = at + INTO_FRAME_SECONDS;
      await sought;
      stills.push(await still(at, player, player.videoWidth, player.videoHeight));
    }
    return { durationSeconds: player.duration, stills };
  } finally {
    player.removeAttribute("src");
    player.load();
  }
}

/** Frees the memory of pictures that are no longer shown. */
export function release(stills: readonly Still[]): void {
  for (const { url } of stills) URL.revokeObjectURL(url);
}

function happened(player: HTMLVideoElement, name: "loadeddata" | "seeked", signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    player.addEventListener(name, () => resolve(), { once: true, signal });
    player.addEventListener("error", () => reject(player.error ?? new Error("the player has no picture")), {
      once: true,
      signal,
    });
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
