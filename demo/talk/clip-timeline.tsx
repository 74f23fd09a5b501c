import { useSignal, useSignalEffect } from "@preact/signals";
import { type Attachment, MOST_FRAMES } from "./media.js";
import { release, type Still, stillsOf } from "./stills.js";

/** A clip's timeline with the chosen frames, their pictures, and inputs to change them. */
export function ClipTimeline({ attachment }: { attachment: Attachment }) {
  const { file, url, frames, start, end, measured } = attachment;
  const tooMany = useSignal(false);
  const stills = useSignal<readonly Still[]>([]);
  const duration = useSignal<number | undefined>(undefined);
  useSignalEffect(() => {
    const seconds = measured.value?.frameSeconds;
    if (!seconds) return;
    const controller = new AbortController();
    stillsOf(file, url.value, seconds, controller.signal).then(
      (found) => {
        if (controller.signal.aborted) return release(found.stills);
        release(stills.peek());
        stills.value = found.stills;
        duration.value = found.durationSeconds;
      },
      () => {
        // If the browser's player can't play the clip, the frames are shown without pictures.
      },
    );
    return () => controller.abort();
  });
  const seconds = measured.value?.frameSeconds ?? [];
  const length = duration.value ?? seconds.at(-1) ?? 0;
  return (
    <div class="clip">
      <ol class="stills" aria-label={`Frames of ${file.name} that the model gets`}>
        {seconds.map((at, i) => (
          <li key={at}>
            {stills.value[i]?.url ? (
              <img src={stills.value[i]!.url} alt={`At ${at.toFixed(2)} s`} />
            ) : (
              <span class="still" />
            )}
          </li>
        ))}
      </ol>
      {length > 0 && (
        <svg
          class="timeline"
          viewBox="0 0 100 6"
          preserveAspectRatio="none"
          role="img"
          aria-label={`${seconds.length} frames of ${length.toFixed(1)} seconds`}
        >
          <rect class="whole" x="0" y="2" width="100" height="2" />
          {seconds.map((at) => (
            <rect key={at} class="moment" x={Math.min(99.2, (100 * at) / length)} y="0" width="0.8" height="6" />
          ))}
        </svg>
      )}
      <div class="row small">
        <label>
          Frames{" "}
          <input
            type="number"
            min={1}
            max={MOST_FRAMES}
            value={frames.value}
            onChange={({ currentTarget }) => {
              const wanted = Math.round(currentTarget.valueAsNumber || 16);
              tooMany.value = wanted > MOST_FRAMES;
              frames.value = Math.min(MOST_FRAMES, Math.max(1, wanted));
              currentTarget.value = String(frames.value);
            }}
          />
        </label>
        <Second label="From second" value={start.value} onChange={(value) => (start.value = value)} />
        <Second label="To second" value={end.value} onChange={(value) => (end.value = value)} />
        {tooMany.value && <span role="status">At most {MOST_FRAMES} frames.</span>}
      </div>
    </div>
  );
}

function Second(props: { label: string; value: number | undefined; onChange: (value: number | undefined) => void }) {
  return (
    <label>
      {props.label}{" "}
      <input
        type="number"
        min={0}
        step={0.1}
        value={props.value ?? ""}
        onChange={({ currentTarget }) => {
          const value = currentTarget.valueAsNumber;
          props.onChange(Number.isFinite(value) && value >= 0 ? value : undefined);
        }}
      />
    </label>
  );
}
