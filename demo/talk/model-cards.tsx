import { Check, Download } from "lucide";
import { Icon } from "../icon.js";
import { hasNoAdapter, loadedChoice, type ModelChoice, open, opening, TINY } from "./model.js";

/** A model that the page offers by itself. */
export interface Card {
  readonly title: string;
  readonly about: string;
  /** What is downloaded once, and what the weights take of the graphics memory: the table of the README has the same. */
  readonly download: string;
  readonly memory: string;
  readonly memoryGigabytes: number;
  readonly choice: ModelChoice;
}

const SMALL = "llava-hf/llava-onevision-qwen2-0.5b-ov-hf";
const MEDIUM = "llava-hf/llava-onevision-qwen2-7b-ov-hf";

export const CARDS: readonly Card[] = [
  {
    title: "Tiny",
    about: "A demonstration that knows simple drawings only.",
    download: "10 MB",
    memory: "12 MB",
    memoryGigabytes: 0.012,
    choice: TINY,
  },
  {
    title: "0.5B, 4 bits",
    about: "Photographs, screenshots, charts and clips. The quickest.",
    download: "1.8 GB",
    memory: "0.56 GB",
    memoryGigabytes: 0.56,
    choice: { label: "LLaVA-OneVision 0.5B, 4 bits", location: SMALL, options: { dtype: "q4" } },
  },
  {
    title: "0.5B, 8 bits",
    about: "The same, nearly exact.",
    download: "1.8 GB",
    memory: "0.95 GB",
    memoryGigabytes: 0.95,
    choice: { label: "LLaVA-OneVision 0.5B, 8 bits", location: SMALL, options: { dtype: "q8" } },
  },
  {
    title: "7B, 4 bits",
    about: "Detailed answers and longer reasoning, on a strong graphics card.",
    download: "16 GB",
    memory: "5.0 GB",
    memoryGigabytes: 5,
    choice: { label: "LLaVA-OneVision 7B, 4 bits", location: MEDIUM, options: { dtype: "q4" } },
  },
];

/** Memory of the machine in GB, as far as the browser reports it: a power of two, 8 or 32 at most. */
const MACHINE_GIGABYTES = (navigator as { deviceMemory?: number }).deviceMemory;

/** The models that the page offers, one card each; everything else is behind `onMore`. */
export function ModelCards({ onMore }: { onMore: () => void }) {
  return (
    <section class="stack" aria-labelledby="models">
      <div class="row">
        <h2 id="models">Models</h2>
        <span class="space" />
        <button type="button" class="quiet" onClick={onMore} aria-haspopup="dialog">
          Other models
        </button>
      </div>
      <CardList
        onLoad={(choice) => {
          // Progress is shown above the first screen.
          document.querySelector(".model-status")?.scrollIntoView();
          void open(choice);
        }}
      />
    </section>
  );
}

/** The cards; `onLoad` gets the model of the one that is chosen. */
export function CardList({ onLoad }: { onLoad: (choice: ModelChoice) => void }) {
  return (
    <ul class="cards">
      {CARDS.map((card) => (
        <li key={card.title}>
          <ModelCard card={card} onLoad={onLoad} />
        </li>
      ))}
    </ul>
  );
}

interface ModelCardProps {
  readonly card: Card;
  readonly onLoad: (choice: ModelChoice) => void;
}

function ModelCard({ card: { title, about, download, memory, memoryGigabytes, choice }, onLoad }: ModelCardProps) {
  const isLoaded = loadedChoice.value === choice;
  // Pages share the memory with all else; a graphics card has its own, of which no page knows the size.
  const isTight = MACHINE_GIGABYTES !== undefined && memoryGigabytes > MACHINE_GIGABYTES / 2;
  return (
    <div class="card model-card" data-loaded={isLoaded}>
      <h3>{title}</h3>
      <p class="small">{about}</p>
      <p class="small muted">
        {download} download · {memory} graphics memory
        {isTight && <span class="danger"> · may not fit: this machine has {MACHINE_GIGABYTES} GB</span>}
      </p>
      {isLoaded ? (
        <span class="chip good">
          <Icon of={Check} size={14} /> Loaded
        </span>
      ) : (
        <button
          type="button"
          disabled={opening.value || hasNoAdapter.value}
          onClick={() => onLoad(choice)}
          aria-label={`Load ${title}`}
        >
          <Icon of={Download} size={16} /> Load
        </button>
      )}
    </div>
  );
}
