import { useSignal } from "@preact/signals";
import type { AnswerProgress } from "ocellus";
import { FaultView } from "../fault-view.js";
import { Thumbnail } from "./attachment.js";
import { AttentionMaps } from "./attention-map.js";
import { answered, busy, type Reply, retry, type Turn } from "./conversation.js";
import { Markdown } from "./markdown.js";
import type { Attachment } from "./media.js";
import { model } from "./model.js";

/** A question and its answer so far. */
export function TurnView({ turn }: { turn: Turn }) {
  const { text, media, reply } = turn;
  const mapShown = useSignal(false);
  const whole = reply.result?.text ?? reply.pieces.join("");
  const ended = reply.phase === "done";
  const hasAttention = answered.value === turn.id && media.length > 0 && reply.pieces.length > 0;
  return (
    <li class="turn stack" data-phase={reply.phase}>
      <h2 class="sr-only">Question</h2>
      <div class="question card">
        {media.length > 0 && (
          <ul class="shown">
            {media.map((medium) => (
              <li key={medium.id}>
                <Shown medium={medium} />
              </li>
            ))}
          </ul>
        )}
        {text !== "" && <p>{text}</p>}
      </div>
      <h2 class="sr-only">Answer</h2>
      <div class="answer stack" aria-live="polite" aria-busy={!ended && reply.phase !== "failed"}>
        {whole === "" ? <Progress reply={reply} /> : <Markdown text={whole} />}
        {reply.result?.finishReason === "length" && (
          <p class="small muted">Stopped at the answer length limit; see Options.</p>
        )}
        {reply.result?.finishReason === "stopped" && (
          <p class="small muted">{whole === "" ? "Stopped before the first word." : "Stopped."}</p>
        )}
      </div>
      {reply.phase === "failed" && <FaultView error={reply.error} />}
      {reply.phase !== "waiting" && reply.phase !== "working" && (
        <div class="row small">
          {ended && <CopyButton text={whole} />}
          {(ended || reply.phase === "failed") && (
            <button type="button" class="quiet" disabled={busy.value || !model.value} onClick={() => retry(turn.id)}>
              {ended ? "Ask again" : "Try again"}
            </button>
          )}
          {hasAttention && (
            <button
              type="button"
              class="quiet"
              aria-pressed={mapShown.value}
              onClick={() => (mapShown.value = !mapShown.value)}
            >
              Attention map
            </button>
          )}
          <Figures reply={reply} />
        </div>
      )}
      {hasAttention && mapShown.value && <AttentionMaps turn={turn} />}
    </li>
  );
}

/** A picture or clip in the conversation. */
function Shown({ medium }: { medium: Attachment }) {
  if (medium.kind === "image") return <Thumbnail attachment={medium} />;
  return <video src={medium.url} controls muted playsInline aria-label={medium.file.name} />;
}

function CopyButton({ text }: { text: string }) {
  const copied = useSignal(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    copied.value = true;
    setTimeout(() => (copied.value = false), 2000);
  };
  return (
    <button type="button" class="quiet" onClick={copy}>
      {copied.value ? "Copied" : "Copy"}
    </button>
  );
}

const STAGES: Readonly<Record<AnswerProgress["stage"], string>> = {
  vision: "Encoding",
  prefill: "Reading",
  decode: "Writing",
};
const UNITS: Readonly<Record<AnswerProgress["stage"], string>> = {
  vision: "tiles",
  prefill: "tokens",
  decode: "tokens",
};

function Progress({ reply: { phase, progress, result } }: { reply: Reply }) {
  if (phase === "failed" || result?.finishReason === "stopped") return null;
  if (phase === "done") return <p class="muted">The answer is empty.</p>;
  if (!progress) return <p class="muted busy">Preparing</p>;
  const { stage, done, total } = progress;
  return (
    <p class="muted busy">
      {STAGES[stage]} {done} of {total} {UNITS[stage]}
    </p>
  );
}

/** Time to the first token, tokens per second, and tokens of the question and the answer. */
function Figures({ reply: { firstTokenSeconds, result } }: { reply: Reply }) {
  if (!result) return null;
  const { usage, timings } = result;
  const rate =
    timings.decode > 0 && usage.completionTokens > 1 ? (usage.completionTokens - 1) / timings.decode : undefined;
  return (
    <span class="muted figures">
      {firstTokenSeconds !== undefined && `first token ${firstTokenSeconds.toFixed(2)} s`}
      {rate !== undefined && ` · ${rate.toFixed(rate < 10 ? 1 : 0)} tokens/s`}
      {` · ${usage.promptTokens.toLocaleString("en")} + ${usage.completionTokens} tokens`}
      {usage.reusedTokens > 0 && `, ${usage.reusedTokens.toLocaleString("en")} cached`}
    </span>
  );
}
