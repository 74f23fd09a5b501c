import { useSignal } from "@preact/signals";
import EXAMPLES from "../examples.json";
import { FaultView } from "../fault-view.js";
import { busy } from "./conversation.js";
import { attach, send, text } from "./draft.js";
import { choice, model, TINY } from "./model.js";

type Example = (typeof EXAMPLES)[number];

/** Example questions, one card each; a click sends the question. */
export function Examples() {
  const failed = useSignal<unknown>(undefined);
  const ask = async (example: Example): Promise<void> => {
    failed.value = undefined;
    try {
      const files = await Promise.all(example.files.map(fetchFile));
      attach(files, "frames" in example ? example.frames : undefined);
      text.value = example.question;
      send();
      // The cards are gone now, and with them the focus.
      document.getElementById("question")?.focus();
    } catch (error) {
      failed.value = error;
    }
  };
  return (
    <section class="stack" aria-labelledby="examples">
      <p>
        Drop a picture, several pictures or a clip, and ask about it. The model runs on this machine's graphics adapter;
        your pictures and questions never leave it.
      </p>
      <h2 id="examples">Try one</h2>
      <ul class="examples">
        {EXAMPLES.map((example) => (
          <li key={example.title}>
            <button
              type="button"
              class="card"
              disabled={!model.value || busy.value}
              onClick={() => ask(example)}
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
      {choice.value === TINY && (
        <p class="small muted">
          The embedded model is a toy of 3.7 million parameters, trained on drawings like these, and often wrong. For
          photographs, load a full checkpoint with the button above.
        </p>
      )}
      {failed.value !== undefined && <FaultView error={failed.value} />}
    </section>
  );
}

async function fetchFile(name: string): Promise<File> {
  const response = await fetch(`./examples/${name}`);
  if (!response.ok) throw new Error(`examples/${name}: status ${response.status}; reload the page`);
  return new File([await response.blob()], name, { type: name.endsWith(".mp4") ? "video/mp4" : "image/png" });
}
