import { useComputed, useSignal } from "@preact/signals";
import type { AnswerAttention, AttendedMedium, AttentionMap } from "ocellus";
import { useEffect, useId, useRef } from "preact/hooks";
import { isCode } from "../fault.js";
import { FaultView } from "../fault-view.js";
import { attend, type Turn } from "./conversation.js";
import { type Attachment, inOrder } from "./media.js";
import { stillsOf } from "./stills.js";

/** A word of the answer, and its tokens. */
interface Word {
  readonly text: string;
  readonly tokens: readonly number[];
}

/** Joins the tokens of an answer into words; a token that begins with a space begins a word. */
export function wordsOf(pieces: readonly string[]): Word[] {
  const words: { text: string; tokens: number[] }[] = [];
  for (const [token, text] of pieces.entries()) {
    const last = words.at(-1);
    if (last && !/^\s/.test(text)) {
      last.text += text;
      last.tokens.push(token);
    } else {
      words.push({ text, tokens: [token] });
    }
  }
  return words.filter(({ text }) => text.trim() !== "");
}

/** Time that the pointer rests on a word before its map is computed. */
const REST_MS = 80;

/**
 * Attention maps of an answer or one of its words over the pictures and frames. The words are one tab stop: the arrow keys or the pointer
 * choose one, and its map is computed then.
 */
export function AttentionMaps({ turn }: { turn: Turn }) {
  const words = wordsOf(turn.reply.pieces);
  const list = useId();
  /** The chosen word; -1 for the whole answer. */
  const chosen = useSignal(-1);
  const attention = useSignal<AnswerAttention | undefined>(undefined);
  const failed = useSignal<unknown>(undefined);
  const working = useSignal(false);
  /** The selected layer of the decoder; undefined for all. */
  const layer = useSignal<number | undefined>(undefined);
  const layers = useSignal(0);
  const known = useRef(new Map<string, AnswerAttention>());
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  /** The layer of the maps on display; undefined for all. */
  const shown = useComputed(() => (attention.value?.layers.length === 1 ? attention.value.layers[0] : undefined));
  /** Shows the map of the chosen word and layer; a later choice waits for the computation under way, and only the last one counts. */
  const refresh = async (): Promise<void> => {
    if (working.value) return;
    working.value = true;
    failed.value = undefined;
    try {
      for (;;) {
        const key = `${chosen.value} ${layer.value}`;
        const tokens = words[chosen.value]?.tokens;
        const found =
          known.current.get(key) ??
          (await attend({
            ...(tokens && { tokens }),
            ...(layer.value !== undefined && { layers: [layer.value] }),
          }));
        if (!found) return;
        known.current.set(key, found);
        attention.value = found;
        layers.value = Math.max(layers.value, found.layers.length);
        if (key === `${chosen.value} ${layer.value}`) return;
      }
    } catch (error) {
      if (!isCode(error, "ABORTED")) failed.value = error;
    } finally {
      working.value = false;
    }
  };
  const choose = (at: number, restMs = 0): void => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      chosen.value = at;
      void refresh();
    }, restMs);
  };
  useEffect(() => {
    void refresh();
    return () => clearTimeout(timer.current);
  }, []);
  const move = (event: KeyboardEvent): void => {
    const last = words.length - 1;
    const steps: Readonly<Record<string, number>> = {
      ArrowRight: Math.min(last, chosen.value + 1),
      ArrowLeft: Math.max(-1, chosen.value - 1),
      Home: -1,
      End: last,
    };
    const next = steps[event.key];
    if (next === undefined) return;
    event.preventDefault();
    chosen.value = next;
    choose(next);
  };
  // The media of this turn are the last ones of the conversation.
  const attended = attention.value?.media.slice(-turn.media.length) ?? [];
  return (
    <section class="attention-map stack" aria-label="Attention map" aria-busy={working.value}>
      <div class="row">
        <div
          class="words"
          role="listbox"
          tabIndex={0}
          aria-label="Words of the answer"
          aria-orientation="horizontal"
          aria-activedescendant={`${list}${chosen.value}`}
          onKeyDown={move}
          onClick={({ target }) => {
            const at = (target as HTMLElement).dataset.word;
            if (at !== undefined) choose(Number(at));
          }}
        >
          {[{ text: "Whole answer" }, ...words].map(({ text }, i) => (
            <span
              key={i}
              id={`${list}${i - 1}`}
              class="word"
              role="option"
              tabIndex={-1}
              data-word={i - 1}
              aria-selected={chosen.value === i - 1}
              onPointerEnter={() => choose(i - 1, REST_MS)}
            >
              {text.trim()}
            </span>
          ))}
        </div>
        <span class="space" />
        <select
          aria-label="Layers"
          onChange={({ currentTarget }) => {
            layer.value = currentTarget.value === "" ? undefined : Number(currentTarget.value);
            void refresh();
          }}
        >
          <option value="">All layers</option>
          {Array.from({ length: layers.value }, (_, i) => (
            <option key={i} value={i}>
              Layer {i + 1}
            </option>
          ))}
        </select>
      </div>
      {failed.value !== undefined && <FaultView error={failed.value} />}
      <div class="maps">
        {attention.value === undefined && working.value && <p class="small muted busy">Computing the attention map</p>}
        {turn.media.map((attachment, i) => {
          const medium = inOrder(attended, turn.media, i);
          return medium && <MediumMaps key={attachment.id} medium={medium} attachment={attachment} />;
        })}
      </div>
      <p class="small muted legend">
        <span>less</span>
        <span class="scale" aria-hidden="true" />
        <span>more</span>
        <span>
          Attention of {shown.value === undefined ? "the decoder" : `layer ${shown.value + 1}`}, averaged over{" "}
          {shown.value === undefined ? "layers and heads" : "its heads"}. Attention is a hint, not an explanation.
        </span>
      </p>
    </section>
  );
}

/** The attention map over a picture, or over each frame of a clip. */
function MediumMaps({ medium, attachment }: { medium: AttendedMedium; attachment: Attachment }) {
  const sources = useSignal<readonly string[]>(attachment.kind === "image" ? [attachment.url.value] : []);
  const seconds = medium.maps.map((map) => map.seconds ?? 0);
  useEffect(() => {
    if (attachment.kind === "image") return;
    const controller = new AbortController();
    stillsOf(attachment.file, attachment.url.value, seconds, controller.signal).then(
      ({ stills }) => (sources.value = stills.map(({ url }) => url)),
      () => {
        // If the browser can't play the clip, the maps are shown without its frames.
      },
    );
    return () => controller.abort();
  }, [seconds.join()]);
  const largest = Math.max(...medium.maps.flatMap(({ values }) => [...values]), Number.MIN_VALUE);
  return (
    <figure>
      <div class="maps">
        {medium.maps.map((map, i) => (
          <HeatMap
            key={map.seconds ?? i}
            map={map}
            largest={largest}
            source={sources.value[i]}
            aspect={medium.width / medium.height}
            height={attachment.kind === "image" ? 220 : 90}
            label={`${attachment.file.name}${map.seconds === undefined ? "" : ` at ${map.seconds.toFixed(2)} s`}: most attention ${placeOf(map)}`}
          />
        ))}
      </div>
      <figcaption class="small muted">
        {attachment.file.name}: {(100 * medium.share).toFixed(medium.share < 0.1 ? 1 : 0)} % of the attention
      </figcaption>
    </figure>
  );
}

interface HeatMapProps {
  readonly map: AttentionMap;
  readonly largest: number;
  readonly source: string | undefined;
  readonly aspect: number;
  readonly height: number;
  readonly label: string;
}

/** Draws the picture in grey, and over it a colour per cell by its value relative to the largest. */
function HeatMap({ map, largest, source, aspect, height, label }: HeatMapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = Math.round(height * aspect);
  useEffect(() => {
    let current = true;
    const paint = async (): Promise<void> => {
      const picture = source === undefined ? undefined : await loaded(source);
      const context = canvas.current?.getContext("2d");
      if (!current || !context) return;
      context.clearRect(0, 0, width, height);
      context.filter = "grayscale(0.7)";
      if (picture) context.drawImage(picture, 0, 0, width, height);
      context.filter = "none";
      const cells = new OffscreenCanvas(map.columns, map.rows);
      const colours = new ImageData(map.columns, map.rows);
      for (const [i, value] of map.values.entries()) colours.data.set(colourOf(value / largest), 4 * i);
      cells.getContext("2d")!.putImageData(colours, 0, 0);
      context.imageSmoothingEnabled = true;
      context.drawImage(cells, 0, 0, width, height);
    };
    void paint();
    return () => {
      current = false;
    };
  }, [map, source, largest, width, height]);
  return <canvas ref={canvas} width={width} height={height} role="img" aria-label={label} />;
}

/** RGBA from transparent over red to opaque yellow, for a share from 0 to 1. */
function colourOf(share: number): [number, number, number, number] {
  return [255, Math.round(235 * share), Math.round(40 * share), Math.round(215 * Math.sqrt(share))];
}

/** Describes the place of the largest value. */
function placeOf({ rows, columns, values }: AttentionMap): string {
  const at = values.indexOf(Math.max(...values));
  const third = (i: number, count: number): number => Math.floor((3 * (i + 0.5)) / count);
  const row = ["at the top", "in the middle", "at the bottom"][third(Math.floor(at / columns), rows)]!;
  const column = ["left", "centre", "right"][third(at % columns, columns)]!;
  return `${row}, ${column}`;
}

async function loaded(source: string): Promise<HTMLImageElement> {
  const picture = new Image();
  picture.src = source;
  await picture.decode();
  return picture;
}
