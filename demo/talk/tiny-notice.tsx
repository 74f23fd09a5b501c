import { computed, signal } from "@preact/signals";
import { X } from "lucide";
import { Icon } from "../icon.js";
import { attachments } from "./draft.js";
import { isExample } from "./examples.js";
import { loadedChoice, open, TINY } from "./model.js";
import { CARDS } from "./model-cards.js";

const isDismissed = signal(false);

/** Whether the question has a picture or clip that the embedded model was not made for. */
const isForeign = computed(
  () => loadedChoice.value === TINY && attachments.value.some(({ file }) => !isExample(file)) && !isDismissed.value,
);

/** Says before a photograph is sent that the embedded model knows drawings only, and offers one that knows more. */
export function TinyNotice({ onModels }: { onModels: () => void }) {
  if (!isForeign.value) return null;
  const card = CARDS[1]!;
  return (
    <div class="notice small row" role="status">
      <span class="grow">
        <strong>{TINY.label} knows simple drawings only.</strong> For photographs, screenshots and films load{" "}
        {card.title}.
      </span>
      <button type="button" class="primary" onClick={() => void open(card.choice)}>
        Load {card.title} ({card.download})
      </button>
      <button type="button" onClick={onModels}>
        Other models
      </button>
      <button type="button" class="quiet dismiss" aria-label="Dismiss" onClick={() => (isDismissed.value = true)}>
        <Icon of={X} size={16} />
      </button>
    </div>
  );
}
