import { Examples } from "./examples.js";
import { FreshDrawing } from "./fresh-drawing.js";
import { ModelCards } from "./model-cards.js";

const LINKS = [
  { href: "https://github.com/ocellus/ocellus", label: "Source" },
  { href: "https://github.com/ocellus/ocellus#readme", label: "Documentation" },
  { href: "https://arxiv.org/abs/2408.03326", label: "Paper" },
  { href: "https://github.com/ocellus/ocellus/blob/main/LICENSE", label: "Licence" },
] as const;

/** The first screen: what this is, the models, and examples. */
export function Welcome({ onModels }: { onModels: () => void }) {
  return (
    <div class="stack welcome">
      <header class="hero">
        <img src="./icon.svg" alt="" width="56" height="56" />
        <div>
          <p class="claim">LLaVA-OneVision in your browser.</p>
          <p>
            Ask about a picture, several pictures or a clip. The model runs on this machine's graphics adapter;{" "}
            <strong>nothing leaves your machine.</strong>
          </p>
          <p class="small links">
            {LINKS.map(({ href, label }) => (
              <a key={href} href={href} rel="noreferrer">
                {label}
              </a>
            ))}
          </p>
        </div>
      </header>
      <Examples />
      <FreshDrawing label="Draw something new, and ask about it" />
      <ModelCards onMore={onModels} />
    </div>
  );
}
