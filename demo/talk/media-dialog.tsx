import { useSignal } from "@preact/signals";
import { ArrowLeft, ArrowRight, SquareDashed, Tag } from "lucide";
import type { CSSProperties } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { Dialog } from "../dialog.js";
import { Icon } from "../icon.js";
import { costOf, Thumbnail } from "./attachment.js";
import { ClipTimeline } from "./clip-timeline.js";
import { attachments, move } from "./draft.js";
import type { Mark } from "./marks.js";
import { type Attachment, mark } from "./media.js";

/** A picture or clip in large. `isEditable`: its marks, frames and place can be changed, since it is not asked about yet. */
export function MediaDialog({
  attachment,
  isEditable = false,
  onClose,
}: {
  attachment: Attachment;
  isEditable?: boolean;
  onClose: () => void;
}) {
  const { id, kind, file, url, measured } = attachment;
  const at = attachments.value.findIndex((one) => one.id === id);
  const isAnimation = file.type.startsWith("image/");
  return (
    <Dialog title={file.name} onClose={onClose}>
      <p class="small muted">{measured.value ? costOf(measured.value) : "Not measured yet."}</p>
      {kind === "image" &&
        (isEditable ? <MarkEditor attachment={attachment} /> : <Thumbnail attachment={attachment} />)}
      {kind === "video" &&
        (isAnimation ? <Thumbnail attachment={attachment} /> : <Player url={url.value} name={file.name} />)}
      {kind === "video" && isEditable && <ClipTimeline attachment={attachment} />}
      {isEditable && attachments.value.length > 1 && (
        <div class="row">
          <span class="small muted">
            {at + 1} of {attachments.value.length}
          </span>
          <button type="button" disabled={at === 0} onClick={() => move(id, at - 1)}>
            <Icon of={ArrowLeft} /> Move before
          </button>
          <button type="button" disabled={at === attachments.value.length - 1} onClick={() => move(id, at + 1)}>
            <Icon of={ArrowRight} /> Move after
          </button>
        </div>
      )}
    </Dialog>
  );
}

function Player({ url, name }: { url: string; name: string }) {
  return <video class="player" src={url} controls muted playsInline aria-label={name} />;
}

/** How far an arrow key moves a mark, as a fraction of the picture; with Shift a box is resized instead. */
const STEP = 0.02;
const BOX = 0.3;
/** A press that moves less is a click. */
const CLICK = 0.01;

/** A picture on which numbered marks and boxes are set with the pointer and moved with the arrow keys. */
function MarkEditor({ attachment }: { attachment: Attachment }) {
  const { file, marks } = attachment;
  const tool = useSignal<"number" | "box">("number");
  const area = useRef<HTMLFieldSetElement>(null);
  const original = useMemo(() => URL.createObjectURL(file), [file]);
  useEffect(() => () => URL.revokeObjectURL(original), [original]);
  const dragged = useRef<
    { readonly i: number; readonly x: number; readonly y: number; readonly isNew: boolean } | undefined
  >(undefined);
  const set = (next: readonly Mark[]): void => void mark(attachment, next);
  const replace = (i: number, next: Mark): void => set(marks.value.map((one, j) => (j === i ? next : one)));
  /** The mark that takes the focus as soon as it is drawn. */
  const focused = useRef<number | undefined>(undefined);
  const add = (next: Mark): void => {
    focused.current = marks.value.length;
    set([...marks.value, next]);
  };
  const place = (event: PointerEvent): { x: number; y: number } => {
    const { left, top, width, height } = area.current!.getBoundingClientRect();
    return { x: within((event.clientX - left) / width), y: within((event.clientY - top) / height) };
  };
  const down = (event: PointerEvent): void => {
    if (event.button !== 0) return;
    event.preventDefault();
    const { x, y } = place(event);
    const own = (event.target as Element).closest<HTMLElement>(".mark");
    const i = own ? Number(own.dataset.mark) : marks.value.length;
    area.current!.setPointerCapture(event.pointerId);
    if (own) own.focus();
    else add(tool.value === "box" ? { x, y, width: 0, height: 0 } : { x, y });
    dragged.current = { i, x, y, isNew: !own };
  };
  const drag = (event: PointerEvent): void => {
    const from = dragged.current;
    const own = from && marks.value[from.i];
    if (!from || !own) return;
    const { x, y } = place(event);
    if (from.isNew && own.width !== undefined) {
      const [width, height] = [Math.abs(x - from.x), Math.abs(y - from.y)];
      replace(from.i, { x: (x + from.x) / 2, y: (y + from.y) / 2, width, height });
    } else replace(from.i, { ...own, x, y });
  };
  const up = (): void => {
    const from = dragged.current;
    dragged.current = undefined;
    const own = from && marks.value[from.i];
    if (!from?.isNew || own?.width === undefined || own.height === undefined) return;
    // A click with the box tool sets a box of the usual size.
    if (own.width < CLICK || own.height < CLICK) replace(from.i, { x: from.x, y: from.y, width: BOX, height: BOX });
  };
  const press = (event: KeyboardEvent, i: number): void => {
    const own = marks.value[i]!;
    const steps: Readonly<Record<string, readonly [number, number]>> = {
      ArrowLeft: [-STEP, 0],
      ArrowRight: [STEP, 0],
      ArrowUp: [0, -STEP],
      ArrowDown: [0, STEP],
    };
    const step = steps[event.key];
    if (step) {
      event.preventDefault();
      const [dx, dy] = step;
      if (event.shiftKey && own.width !== undefined && own.height !== undefined) {
        replace(i, {
          ...own,
          width: Math.max(STEP, within(own.width + dx)),
          height: Math.max(STEP, within(own.height + dy)),
        });
      } else replace(i, { ...own, x: within(own.x + dx), y: within(own.y + dy) });
    } else if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      focused.current = Math.max(0, i - 1);
      set(marks.value.filter((_, j) => j !== i));
    }
  };
  return (
    <div class="stack">
      <fieldset
        ref={area}
        class="mark-area"
        aria-label={`Marks on ${file.name}`}
        onPointerDown={down}
        onPointerMove={drag}
        onPointerUp={up}
        onPointerCancel={up}
      >
        <img src={original} alt={file.name} draggable={false} />
        {marks.value.map((one, i) => (
          <button
            key={i}
            type="button"
            ref={(element) => {
              if (!element || focused.current !== i) return;
              focused.current = undefined;
              element.focus();
            }}
            class="mark"
            data-mark={i}
            data-box={one.width !== undefined}
            aria-label={`${one.width === undefined ? "Mark" : "Box"} ${i + 1} at ${percent(one.x)} from the left, ${percent(one.y)} from the top`}
            style={styleOf(one)}
            onKeyDown={(event) => press(event, i)}
          >
            <span>{i + 1}</span>
          </button>
        ))}
      </fieldset>
      <fieldset class="row tools">
        <legend class="sr-only">Marks</legend>
        <button type="button" aria-pressed={tool.value === "number"} onClick={() => (tool.value = "number")}>
          <Icon of={Tag} /> Numbers
        </button>
        <button type="button" aria-pressed={tool.value === "box"} onClick={() => (tool.value = "box")}>
          <Icon of={SquareDashed} /> Boxes
        </button>
        <button
          type="button"
          onClick={() => add({ x: 0.5, y: 0.5, ...(tool.value === "box" && { width: BOX, height: BOX }) })}
        >
          Add in the middle
        </button>
        <button type="button" disabled={marks.value.length === 0} onClick={() => set([])}>
          Remove all
        </button>
      </fieldset>
      <p class="small muted">
        Click the picture to set a mark, drag to move it. With the keyboard: arrow keys move a mark, Shift and arrow
        keys size a box, Delete removes it. The marks are drawn into the picture that the model gets: ask “What is mark
        1?”.
      </p>
    </div>
  );
}

function within(value: number): number {
  return Math.min(1, Math.max(0, value));
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

function styleOf({ x, y, width, height }: Mark): CSSProperties {
  const place = { left: `${100 * x}%`, top: `${100 * y}%` };
  return width === undefined || height === undefined
    ? place
    : { ...place, width: `${100 * width}%`, height: `${100 * height}%` };
}
