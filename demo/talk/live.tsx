import { type Signal, useSignal } from "@preact/signals";
import { Camera, Circle, Pause, Play, Square } from "lucide";
import { useEffect, useRef } from "preact/hooks";
import { Dialog } from "../dialog.js";
import { FaultView } from "../fault-view.js";
import { Icon } from "../icon.js";
import { attach } from "./draft.js";
import { model } from "./model.js";

/** What the model said of a frame, and how long it took. */
interface Caption {
  readonly text: string;
  readonly seconds?: number;
}

const PROMPT = "What do you see?";
/** Longest caption, in tokens: the next frame waits for its end. */
const CAPTION_TOKENS = 48;

/**
 * Dialog with the camera or the screen: takes a picture, records a clip, or captions what is seen without pause, the newest frame as soon
 * as the last caption is done.
 */
export function Live({ source, onClose }: { source: "camera" | "screen"; onClose: () => void }) {
  const video = useRef<HTMLVideoElement>(null);
  const stream = useSignal<MediaStream | undefined>(undefined);
  const cameras = useSignal<readonly MediaDeviceInfo[]>([]);
  const camera = useSignal<string | undefined>(undefined);
  const ready = useSignal(false);
  const caption = useSignal<Caption | undefined>(undefined);
  const failed = useSignal<unknown>(undefined);
  useEffect(() => {
    let own: MediaStream | undefined;
    let closed = false;
    ready.value = false;
    const begin = async (): Promise<void> => {
      try {
        own = await streamOf(source, camera.value);
        if (closed) return stopAll(own);
        stream.value = own;
        video.current!.srcObject = own;
        // Ended by the browser's own button.
        own.getVideoTracks()[0]?.addEventListener("ended", onClose);
        if (source === "camera") {
          const devices = await navigator.mediaDevices.enumerateDevices();
          cameras.value = devices.filter(({ kind }) => kind === "videoinput");
        }
      } catch (error) {
        if (closed) return;
        const name = error instanceof DOMException ? error.name : "";
        failed.value = new Error(REASONS[source][name] ?? String(error));
      }
    };
    void begin();
    return () => {
      closed = true;
      stream.value = undefined;
      if (own) stopAll(own);
    };
  }, [camera.value]);
  const take = async (): Promise<void> => {
    const blob = await new Promise<Blob | null>((resolve) => frameOf(video.current!).toBlob(resolve, "image/png"));
    if (blob) await attach([new File([blob], `${source}.png`, { type: "image/png" })]);
    onClose();
  };
  return (
    <Dialog title={source === "camera" ? "Camera" : "Screen"} onClose={onClose}>
      {failed.value === undefined ? (
        <>
          <div class="live">
            <video
              ref={video}
              class="player"
              autoPlay
              muted
              playsInline
              aria-label={source === "camera" ? "Camera" : "Screen"}
              onLoadedData={() => (ready.value = true)}
            />
            {caption.value !== undefined && (
              <p class="caption" aria-live="polite">
                {caption.value.text}{" "}
                {caption.value.seconds !== undefined && (
                  <span class="seconds">{caption.value.seconds.toFixed(1)} s</span>
                )}
              </p>
            )}
          </div>
          {ready.value && <Captions video={() => video.current!} caption={caption} />}
          <div class="row">
            <button type="button" class="primary" disabled={!ready.value} onClick={take}>
              <Icon of={Camera} />
              Take the picture
            </button>
            {stream.value && <Recorder stream={stream.value} name={source} onDone={onClose} />}
            {cameras.value.length > 1 && (
              <select aria-label="Which camera" onChange={({ currentTarget }) => (camera.value = currentTarget.value)}>
                {cameras.value.map(({ deviceId, label }, i) => (
                  <option key={deviceId} value={deviceId}>
                    {label || `Camera ${i + 1}`}
                  </option>
                ))}
              </select>
            )}
          </div>
        </>
      ) : (
        <FaultView error={failed.value} />
      )}
    </Dialog>
  );
}

/** Captions of what a player shows: the newest frame is asked about when the last caption is done. */
function Captions({ video, caption }: { video: () => HTMLVideoElement; caption: Signal<Caption | undefined> }) {
  const on = useSignal(false);
  const prompt = useSignal(PROMPT);
  const failed = useSignal<unknown>(undefined);
  const loaded = model.value;
  useEffect(() => {
    if (!on.value || !loaded) return;
    const controller = new AbortController();
    const { signal } = controller;
    const run = async (): Promise<void> => {
      using session = loaded.createSession();
      while (!signal.aborted) {
        const player = video();
        const started = performance.now();
        const { data, width, height } = pixelsOf(player);
        const content = [
          { type: "image" as const, image: { data, width, height } },
          { type: "text" as const, text: prompt.value },
        ];
        const { text } = await session.generate([{ role: "user", content }], {
          maxNewTokens: CAPTION_TOKENS,
          imageMode: "pad",
          signal,
          transfer: [data.buffer],
        }).result;
        caption.value = { text, seconds: (performance.now() - started) / 1000 };
        // Lets the page draw, also where answers are immediate.
        await new Promise((resolve) => requestAnimationFrame(resolve));
      }
    };
    failed.value = undefined;
    caption.value = { text: "Looking…" };
    run().catch((error: unknown) => {
      if (!signal.aborted) failed.value = error;
    });
    return () => controller.abort();
  }, [on.value, loaded]);
  return (
    <div class="stack">
      {failed.value !== undefined && <FaultView error={failed.value} />}
      <div class="row">
        <input
          class="grow"
          aria-label="Question about every frame"
          value={prompt.value}
          onInput={({ currentTarget }) => (prompt.value = currentTarget.value)}
        />
        <button type="button" disabled={!loaded} aria-pressed={on.value} onClick={() => (on.value = !on.value)}>
          <Icon of={on.value ? Pause : Play} />
          {on.value ? "Pause captions" : "Start captions"}
        </button>
      </div>
    </div>
  );
}

/** Records a clip and adds it to the question. */
function Recorder({ stream, name, onDone }: { stream: MediaStream; name: string; onDone: () => void }) {
  const recorder = useSignal<MediaRecorder | undefined>(undefined);
  if (!("MediaRecorder" in globalThis)) return null;
  const begin = (): void => {
    const chunks: Blob[] = [];
    const own = new MediaRecorder(stream);
    own.addEventListener("dataavailable", ({ data }) => chunks.push(data));
    own.addEventListener("stop", () => {
      const type = own.mimeType.split(";")[0] || "video/webm";
      const file = new File(chunks, `${name}.${type.includes("mp4") ? "mp4" : "webm"}`, { type });
      void attach([file]).then(onDone);
    });
    own.start();
    recorder.value = own;
  };
  return recorder.value ? (
    <button type="button" class="danger" onClick={() => recorder.value!.stop()}>
      <Icon of={Square} />
      Stop and add the clip
    </button>
  ) : (
    <button type="button" onClick={begin}>
      <Icon of={Circle} />
      Record a clip
    </button>
  );
}

/** Longest side of a captioned frame: a tile has 384 pixels, and larger frames are reduced to it. */
const FRAME_PIXELS = 384;

function frameOf(player: HTMLVideoElement, mostPixels = Number.POSITIVE_INFINITY): HTMLCanvasElement {
  const { videoWidth, videoHeight } = player;
  const scale = Math.min(1, mostPixels / Math.max(videoWidth, videoHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(videoWidth * scale));
  canvas.height = Math.max(1, Math.round(videoHeight * scale));
  canvas.getContext("2d")!.drawImage(player, 0, 0, canvas.width, canvas.height);
  return canvas;
}

function pixelsOf(player: HTMLVideoElement): ImageData {
  const canvas = frameOf(player, FRAME_PIXELS);
  return canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
}

function streamOf(source: "camera" | "screen", camera: string | undefined): Promise<MediaStream> {
  const { mediaDevices } = navigator;
  if (source === "screen") return mediaDevices.getDisplayMedia({ video: true });
  return mediaDevices.getUserMedia({
    video: camera === undefined ? { facingMode: "environment" } : { deviceId: { exact: camera } },
  });
}

const REASONS: Readonly<Record<"camera" | "screen", Readonly<Record<string, string>>>> = {
  camera: {
    NotAllowedError: "The page has no permission to use the camera: allow it in the address bar.",
    NotFoundError: "No camera was found.",
    NotReadableError: "The camera is in use by another program.",
  },
  screen: { NotAllowedError: "No window or screen was chosen." },
};

function stopAll(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}
