import type { MeasuredMedium } from "ocellus";
import { ClipTimeline } from "./clip-timeline.js";
import type { Attachment } from "./media.js";

/** A picture with its tiles, or a clip with its frames; below it the number of tokens. */
export function AttachmentView({ attachment, onRemove }: { attachment: Attachment; onRemove: () => void }) {
  const { kind, file, measured } = attachment;
  return (
    <figure class="attachment" data-kind={kind} data-measured={measured.value !== undefined}>
      {kind === "image" ? <Thumbnail attachment={attachment} /> : <ClipTimeline attachment={attachment} />}
      <figcaption class="small">
        <span class="name" title={file.name}>
          {file.name}
        </span>
        <span class="muted">{measured.value ? costOf(measured.value) : "measuring…"}</span>
        <button type="button" class="quiet" onClick={onRemove} aria-label={`Remove ${file.name}`}>
          Remove
        </button>
      </figcaption>
    </figure>
  );
}

/** The picture with its tiles drawn over it. */
export function Thumbnail({ attachment }: { attachment: Attachment }) {
  const { file, url, measured } = attachment;
  const cuts = measured.value?.cuts;
  return (
    <span class="thumbnail">
      <img src={url} alt={file.name} />
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

function costOf({ kind, tiles, tokens, cuts, width, height }: MeasuredMedium): string {
  const size = `${width} × ${height}`;
  if (kind === "video")
    return `${size}, ${tiles} frame${tiles === 1 ? "" : "s"}, ${tokens.toLocaleString("en")} tokens`;
  const how = cuts ? `whole and ${cuts.x.length + 1} × ${cuts.y.length + 1} tiles` : "one tile";
  return `${size}, ${how}, ${tokens.toLocaleString("en")} tokens`;
}
