import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Dialog } from "../dialog.js";
import { FaultView } from "../fault-view.js";
import { attach } from "./draft.js";

/** Dialog that shows the camera and adds one picture to the question. */
export function Camera({ onClose }: { onClose: () => void }) {
  const video = useRef<HTMLVideoElement>(null);
  const ready = useSignal(false);
  const failed = useSignal<unknown>(undefined);
  useEffect(() => {
    let stream: MediaStream | undefined;
    let closed = false;
    const begin = async (): Promise<void> => {
      try {
        stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
        if (closed) stopAll(stream);
        else video.current!.srcObject = stream;
      } catch (error) {
        const name = error instanceof DOMException ? error.name : "";
        failed.value = new Error(REASONS[name] ?? String(error));
      }
    };
    void begin();
    return () => {
      closed = true;
      if (stream) stopAll(stream);
    };
  }, []);
  const take = async (): Promise<void> => {
    const player = video.current!;
    const canvas = document.createElement("canvas");
    canvas.width = player.videoWidth;
    canvas.height = player.videoHeight;
    canvas.getContext("2d")!.drawImage(player, 0, 0);
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
    if (blob) attach([new File([blob], "camera.png", { type: "image/png" })]);
    onClose();
  };
  return (
    <Dialog title="Camera" onClose={onClose}>
      {failed.value === undefined ? (
        <>
          <video
            ref={video}
            class="camera"
            autoPlay
            muted
            playsInline
            aria-label="Camera"
            onLoadedData={() => (ready.value = true)}
          />
          <div class="row">
            <button type="button" class="primary" disabled={!ready.value} onClick={take}>
              Take the picture
            </button>
          </div>
        </>
      ) : (
        <FaultView error={failed.value} />
      )}
    </Dialog>
  );
}

const REASONS: Readonly<Record<string, string>> = {
  NotAllowedError: "The page has no permission to use the camera: allow it in the address bar.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is in use by another program.",
};

function stopAll(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}
