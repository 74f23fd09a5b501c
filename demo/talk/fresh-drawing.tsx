import { useSignal } from "@preact/signals";
import { Check, Dices, X } from "lucide";
import { FaultView } from "../fault-view.js";
import { Icon } from "../icon.js";
import { busy, turns } from "./conversation.js";
import { begin } from "./current.js";
import { draw, outcomes, remember } from "./drawings.js";
import { askAbout } from "./examples.js";
import { loadedChoice, model, TINY } from "./model.js";

/** Draws something new, and asks the embedded model about it in a conversation of its own. */
async function askAboutDrawing(): Promise<void> {
  const drawn = await draw();
  begin();
  await askAbout(drawn);
  const reply = turns.value[0]?.reply;
  if (reply?.result?.finishReason === "stop") remember(reply.result.text === drawn.answer);
}

/** A button that draws and asks, and how many of the last answers were right. */
export function FreshDrawing({ label }: { label: string }) {
  const failed = useSignal<unknown>(undefined);
  const isDrawing = useSignal(false);
  if (loadedChoice.value !== TINY) return null;
  const onClick = async (): Promise<void> => {
    failed.value = undefined;
    isDrawing.value = true;
    try {
      await askAboutDrawing();
    } catch (error) {
      failed.value = error;
    } finally {
      isDrawing.value = false;
    }
  };
  const right = outcomes.value.filter(Boolean).length;
  const count = outcomes.value.length;
  return (
    <div class="stack">
      <p class="row small">
        <button type="button" disabled={!model.value || busy.value || isDrawing.value} onClick={onClick}>
          <Icon of={Dices} size={16} />
          {label}
        </button>
        {count > 0 && (
          <span class="muted" data-outcomes>
            {count === 1
              ? `The last drawing: ${right === 1 ? "right" : "not right"}.`
              : `${right} of the last ${count} drawings answered right.`}
          </span>
        )}
      </p>
      {failed.value !== undefined && <FaultView error={failed.value} />}
    </div>
  );
}

/** Says whether an answer about a fresh drawing is right, and draws another. */
export function Verdict({ text, expected }: { text: string; expected: string }) {
  const isRight = text === expected;
  return (
    <div class="stack" data-verdict={isRight ? "right" : "wrong"}>
      <p class="row small">
        <Icon of={isRight ? Check : X} size={16} />
        {isRight ? "Right: that is what was drawn." : `Not right. What was drawn: ${expected}`}
      </p>
      <FreshDrawing label="Another drawing" />
    </div>
  );
}
