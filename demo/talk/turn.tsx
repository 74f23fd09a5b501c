import { useComputed, useSignal } from "@preact/signals";
import { Check, Copy, Pencil, Play, RotateCcw, ScanEye, Trash2 } from "lucide";
import type { AnswerProgress } from "ocellus";
import type { ComponentChildren } from "preact";
import { FaultText } from "../fault-view.js";
import { Icon } from "../icon.js";
import { Thumbnail } from "./attachment.js";
import { AttentionMaps } from "./attention-map.js";
import { answered, busy, hasEnded, type Reply, remove, resume, type Turn, textOf } from "./conversation.js";
import { again, branch } from "./current.js";
import { showsAttention } from "./examples.js";
import { Verdict } from "./fresh-drawing.js";
import { JsonView, jsonOf } from "./json-view.js";
import { Markdown } from "./markdown.js";
import type { Attachment } from "./media.js";
import { MediaDialog } from "./media-dialog.js";
import { model } from "./model.js";

/** A question and its answer so far. */
export function TurnView({ turn }: { turn: Turn }) {
  const { id, text, media, expected, reply } = turn;
  const whole = textOf(reply);
  const isOver = hasEnded(reply);
  const hasAttention = answered.value === id && media.length > 0 && reply.pieces.length > 0;
  const isShown = useSignal<boolean | undefined>(undefined);
  const withMaps = hasAttention && (isShown.value ?? showsAttention.value);
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
      <div class="answer stack" aria-live="polite" aria-busy={!isOver}>
        {whole === "" ? <Progress reply={reply} /> : <AnswerText text={whole} isWhole={isOver} />}
        <Ending reply={reply} isEmpty={whole === ""} />
        {expected !== undefined && reply.phase === "done" && <Verdict text={whole} expected={expected} />}
      </div>
      {reply.phase === "failed" && reply.error && <FaultText fault={reply.error} />}
      {withMaps && <AttentionMaps turn={turn} />}
      {isOver && (
        <Controls turn={turn}>
          {hasAttention && (
            <button type="button" class="quiet" aria-pressed={withMaps} onClick={() => (isShown.value = !withMaps)}>
              <Icon of={ScanEye} size={16} />
              Attention map
            </button>
          )}
        </Controls>
      )}
    </li>
  );
}

/** A picture or clip in the conversation; a click enlarges it. */
function Shown({ medium }: { medium: Attachment }) {
  const isOpen = useSignal(false);
  return (
    <>
      <button
        type="button"
        class="thumbnail-button"
        aria-label={`Enlarge ${medium.file.name}`}
        onClick={() => (isOpen.value = true)}
      >
        <Thumbnail attachment={medium} />
      </button>
      {isOpen.value && <MediaDialog attachment={medium} onClose={() => (isOpen.value = false)} />}
    </>
  );
}

/** JSON as a form, all else as Markdown. */
function AnswerText({ text, isWhole }: { text: string; isWhole: boolean }) {
  const value = isWhole ? jsonOf(text) : undefined;
  if (!value) return <Markdown text={text} />;
  return (
    <>
      <JsonView value={value} />
      <details class="small">
        <summary>JSON</summary>
        <pre>
          <code>{JSON.stringify(value, null, 2)}</code>
        </pre>
      </details>
    </>
  );
}

/** Why an answer ended before its end. */
function Ending({ reply: { phase, result }, isEmpty }: { reply: Reply; isEmpty: boolean }) {
  if (phase === "interrupted") return <p class="small muted">Interrupted: the page was reloaded.</p>;
  if (result?.finishReason === "length") {
    return <p class="small muted">Stopped at the answer length limit; see Options.</p>;
  }
  if (result?.finishReason !== "stopped") return null;
  return <p class="small muted">{isEmpty ? "Stopped before the first word." : "Stopped."}</p>;
}

function Controls({ turn, children }: { turn: Turn; children: ComponentChildren }) {
  const { id, reply } = turn;
  const isIdle = useComputed(() => !busy.value && model.value !== undefined);
  const whole = textOf(reply);
  const isCut = reply.phase === "interrupted" || ["length", "stopped"].includes(reply.result?.finishReason ?? "");
  return (
    <div class="row small controls">
      {whole !== "" && <CopyButton text={whole} />}
      {isCut && whole !== "" && (
        <button type="button" class="quiet" disabled={!isIdle.value} onClick={() => resume(id)}>
          <Icon of={Play} size={16} />
          Continue
        </button>
      )}
      <button type="button" class="quiet" disabled={!isIdle.value} onClick={() => again(id)}>
        <Icon of={RotateCcw} size={16} />
        {reply.phase === "failed" ? "Try again" : "Ask again"}
      </button>
      <button type="button" class="quiet" disabled={busy.value} onClick={() => branch(id)}>
        <Icon of={Pencil} size={16} />
        Edit question
      </button>
      <button type="button" class="quiet" disabled={busy.value} onClick={() => remove(id)}>
        <Icon of={Trash2} size={16} />
        Delete
      </button>
      {children}
      <Figures reply={reply} />
    </div>
  );
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
      <Icon of={copied.value ? Check : Copy} size={16} />
      {copied.value ? "Copied" : "Copy"}
    </button>
  );
}

const STAGES: Readonly<Record<AnswerProgress["stage"], string>> = {
  vision: "Encoding",
  prefill: "Reading",
  decode: "Writing",
  reload: "The GPU was reset: loading",
};
const UNITS: Readonly<Record<AnswerProgress["stage"], string>> = {
  vision: "tiles",
  prefill: "tokens",
  decode: "tokens",
  reload: "bytes",
};

function Progress({ reply: { phase, progress, result } }: { reply: Reply }) {
  if (phase === "failed" || phase === "interrupted" || result?.finishReason === "stopped") return null;
  if (phase === "done") return <p class="muted">The answer is empty.</p>;
  if (!progress) return <p class="muted busy">Preparing</p>;
  const { stage, done, total } = progress;
  return (
    <p class="muted busy">
      {STAGES[stage]} {done.toLocaleString("en")} of {total.toLocaleString("en")} {UNITS[stage]}
    </p>
  );
}

/** Time to the first token, tokens per second, and tokens of the question and the answer. */
function Figures({ reply: { firstTokenSeconds, result } }: { reply: Reply }) {
  if (!result || result.usage.totalTokens === 0) return null;
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
