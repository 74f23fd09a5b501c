import { signal, useSignal } from "@preact/signals";
import EXAMPLES from "../examples.json";
import { FaultView } from "../fault-view.js";
import { ask, busy } from "./conversation.js";
import type { Drawn } from "./drawings.js";
import { attachmentOf } from "./media.js";
import { answeringChoice, model, TINY } from "./model.js";
import { settings } from "./settings.js";

type Example = (typeof EXAMPLES)[number];

/** Files of the examples, which the embedded model was made for. */
const own = new WeakSet<File>();

export function isExample(file: File): boolean {
  return own.has(file);
}

/** Whether attention maps are shown without being asked for: beside the answers of examples. */
export const showsAttention = signal(false);

/** Asks about media of the page's own, beside what the visitor is writing; `answer` is the right one, where it is known. */
export async function askAbout({
  files,
  frames,
  question,
  answer,
}: Omit<Drawn, "answer"> & Partial<Drawn>): Promise<void> {
  for (const file of files) own.add(file);
  const media = (await Promise.all(files.map((file) => attachmentOf(file, frames)))).flatMap((one) => one ?? []);
  showsAttention.value = true;
  // What was clicked is gone then, and with it the focus.
  document.getElementById("question")?.focus();
  await ask(question, media, answer);
}

/**
 * Example questions, one card each; a click sends the question. The embedded model has drawings, each with the right answer; other models
 * have photographs, screenshots and clips.
 */
export function Examples() {
  const failed = useSignal<unknown>(undefined);
  const onClick = async (example: Example): Promise<void> => {
    failed.value = undefined;
    try {
      const files = await Promise.all(example.files.map(fetchFile));
      await askAbout({ files, frames: example.frames ?? settings.value.frames, question: example.question });
    } catch (error) {
      failed.value = error;
    }
  };
  const isTiny = answeringChoice.value === TINY;
  return (
    <section class="stack" aria-labelledby="examples">
      <h2 id="examples">Try one</h2>
      <ul class="examples">
        {EXAMPLES.filter(({ answer }) => (answer !== undefined) === isTiny).map((example) => (
          <li key={example.title}>
            <button
              type="button"
              class="card"
              disabled={!model.value || busy.value}
              onClick={() => onClick(example)}
              data-kind={example.kind}
            >
              <span class="pictures">
                {example.files.map((name) =>
                  name.endsWith(".mp4") ? (
                    <video
                      key={name}
                      src={`./examples/${name}#t=1.2`}
                      muted
                      playsInline
                      preload="metadata"
                      tabIndex={-1}
                    />
                  ) : (
                    <img key={name} src={`./examples/${name}`} alt="" />
                  ),
                )}
              </span>
              <strong>{example.title}</strong>
              <span class="muted small">{example.question}</span>
            </button>
          </li>
        ))}
      </ul>
      {failed.value !== undefined && <FaultView error={failed.value} />}
    </section>
  );
}

async function fetchFile(name: string): Promise<File> {
  const response = await fetch(`./examples/${name}`);
  if (!response.ok) throw new Error(`examples/${name}: status ${response.status}; reload the page`);
  return new File([await response.blob()], name, { type: TYPES[name.split(".").at(-1)!]! });
}

const TYPES: Readonly<Record<string, string>> = {
  mp4: "video/mp4",
  png: "image/png",
  jpg: "image/jpeg",
  webp: "image/webp",
};
