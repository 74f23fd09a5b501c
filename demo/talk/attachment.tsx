import { useSignal } from "@preact/signals";
import { Clapperboard, ImageOff, X } from "lucide";
import type { MeasuredMedium } from "ocellus";
import { Icon } from "../icon.js";
import { attachments, detach, fault, move } from "./draft.js";
import type { Attachment } from "./media.js";
import { MediaDialog } from "./media-dialog.js";

/** Type of the data of an attachment that is dragged to another place. */
const DRAGGED = "application/x-ocellus-attachment";

/** A picture or clip of the question in the strip: its tokens, its place, and a dialog with all else. */
export function AttachmentView({ attachment }: { attachment: Attachment }) {
  const { id, kind, file, measured } = attachment;
  const isOpen = useSignal(false);
  const at = attachments.value.indexOf(attachment);
  const cost = measured.value && costOf(measured.value);
  return (
    <figure
      class="attachment"
      data-kind={kind}
      data-measured={cost !== undefined}
      draggable
      onDragStart={({ dataTransfer }) => dataTransfer?.setData(DRAGGED, id)}
      onDragOver={(event) => {
        if (event.dataTransfer?.types.includes(DRAGGED)) event.preventDefault();
      }}
      onDrop={(event) => {
        const dragged = event.dataTransfer?.getData(DRAGGED);
        if (!dragged) return;
        event.preventDefault();
        event.stopPropagation();
        move(dragged, at);
      }}
    >
      <button
        type="button"
        class="thumbnail-button"
        title={`${file.name}${cost ? `: ${cost}` : ""}`}
        aria-label={`${file.name}: details`}
        aria-keyshortcuts="Alt+ArrowLeft Alt+ArrowRight"
        onClick={() => (isOpen.value = true)}
        onKeyDown={(event) => {
          const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
          if (!event.altKey || step === undefined) return;
          event.preventDefault();
          move(id, at + step);
        }}
      >
        <Thumbnail attachment={attachment} />
      </button>
      <button type="button" class="remove" onClick={() => detach(id)} aria-label={`Remove ${file.name}`}>
        <Icon of={X} size={14} />
      </button>
      <figcaption class="small muted">
        {measured.value
          ? `${measured.value.tokens.toLocaleString("en")} tokens`
          : fault.value === undefined
            ? "measuring…"
            : "not measured"}
      </figcaption>
      {isOpen.value && <MediaDialog attachment={attachment} isEditable onClose={() => (isOpen.value = false)} />}
    </figure>
  );
}

/** The picture with its tiles drawn over it, or the first frame of a clip. */
export function Thumbnail({ attachment }: { attachment: Attachment }) {
  const { file, kind, url, measured } = attachment;
  const cuts = measured.value?.cuts;
  const isBroken = useSignal(false);
  if (isBroken.value) {
    return (
      <span class="broken" role="img" aria-label={`${file.name}: can't be shown`}>
        <Icon of={ImageOff} />
      </span>
    );
  }
  const onError = (): void => {
    isBroken.value = true;
  };
  return (
    <span class="thumbnail">
      {kind === "video" && !file.type.startsWith("image/") ? (
        <video src={`${url.value}#t=0.1`} muted playsInline preload="metadata" tabIndex={-1} aria-label={file.name} />
      ) : (
        <img src={url.value} alt={file.name} draggable={false} onError={onError} />
      )}
      {kind === "video" && (
        <span class="badge">
          <Icon of={Clapperboard} size={14} />
        </span>
      )}
      {cuts && (
        <svg class="tiles" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
          <rect x="0" y="0" width="100" height="100" />
          {cuts.x.map((x) => (
            <line key={`x${x}`} x1={100 * x} x2={100 * x} y1="0" y2="100" />
          ))}
          {cuts.y.map((y) => (
            <line key={`y${y}`} x1="0" x2="100" y1={100 * y} y2={100 * y} />
          ))}
        </svg>
      )}
    </span>
  );
}

/** What a picture or clip takes, in words. */
export function costOf({ kind, tiles, tokens, cuts, width, height }: MeasuredMedium): string {
  const size = `${width} × ${height}`;
  if (kind === "video")
    return `${size}, ${tiles} frame${tiles === 1 ? "" : "s"}, ${tokens.toLocaleString("en")} tokens`;
  const how = cuts ? `whole and ${cuts.x.length + 1} × ${cuts.y.length + 1} tiles` : "one tile";
  return `${size}, ${how}, ${tokens.toLocaleString("en")} tokens`;
}
