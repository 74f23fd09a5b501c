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

/** Returns small pictures of a clip at the given times, from the browser's own player. The model gets its frames from another decoder. */
export async function stillsOf(url: string, seconds: readonly number[], signal: AbortSignal): Promise<Stills> {
  const player = document.createElement("video");
  player.muted = true;
  player.preload = "auto";
  player.src = url;
  try {
    await happened(player, "loadeddata", signal);
    const scale = HEIGHT / player.videoHeight;
    const canvas = document.createElement("canvas");
    canvas.height = HEIGHT;
    canvas.width = Math.max(1, Math.round(player.videoWidth * scale));
    const context = canvas.getContext("2d")!;
    const stills: Still[] = [];
    for (const at of seconds) {
      const sought = happened(player, "seeked", signal);
      player.currentTime = at + INTO_FRAME_SECONDS;
      await sought;
      context.drawImage(player, 0, 0, canvas.width, canvas.height);
      const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/webp", 0.8));
      if (blob) stills.push({ seconds: at, url: URL.createObjectURL(blob) });
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
