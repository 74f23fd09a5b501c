import { useSignal } from "@preact/signals";
import { ImagePlus, Shapes, X } from "lucide";
import { useRef } from "preact/hooks";
import { FaultView } from "../fault-view.js";
import { Icon } from "../icon.js";
import { loadedChoice, TINY } from "../talk/model.js";
import { add, clear, type Example, examples, isRunning, label, labelled, question, remove } from "./teaching.js";

/** The question, the pictures and their right answers. */
export function ExampleList() {
  const input = useRef<HTMLInputElement>(null);
  const failed = useSignal<unknown>(undefined);
  const fill = async (): Promise<void> => {
    try {
      const { trafficLights } = await import("./traffic-lights.js");
      await trafficLights();
    } catch (error) {
      failed.value = error;
    }
  };
  const locked = isRunning.value;
  return (
    <section class="stack" aria-label="Examples">
      <div class="field">
        <label htmlFor="teach-question">Question about every picture</label>
        <input
          id="teach-question"
          value={question.value}
          disabled={locked}
          onInput={({ currentTarget }) => (question.value = currentTarget.value)}
        />
      </div>
      <div class="row">
        <input
          ref={input}
          type="file"
          accept="image/*"
          multiple
          hidden
          onChange={({ currentTarget }) => {
            add(currentTarget.files ?? []);
            currentTarget.value = "";
          }}
        />
        <button type="button" disabled={locked} onClick={() => input.current!.click()}>
          <Icon of={ImagePlus} />
          Add pictures
        </button>
        {loadedChoice.value === TINY && (
          <button type="button" disabled={locked} onClick={fill}>
            <Icon of={Shapes} />
            Try it: teach it traffic lights
          </button>
        )}
        {examples.value.length > 0 && (
          <button type="button" class="quiet" disabled={locked} onClick={clear}>
            Remove all
          </button>
        )}
      </div>
      {failed.value !== undefined && <FaultView error={failed.value} />}
      {examples.value.length > 0 && (
        <ul class="teach-examples">
          {examples.value.map((example) => (
            <Row key={example.id} example={example} />
          ))}
        </ul>
      )}
    </section>
  );
}

function Row({ example }: { example: Example }) {
  const { id, file, url, answer } = example;
  const isHeld = labelled.value.held.includes(example);
  return (
    <li>
      <img class="taught" src={url} alt="" />
      <input
        aria-label={`Right answer for ${file.name}`}
        placeholder="The right answer"
        value={answer}
        disabled={isRunning.value}
        onInput={({ currentTarget }) => label(id, currentTarget.value)}
      />
      <span class="small muted">{isHeld ? "test" : ""}</span>
      <button
        type="button"
        class="quiet"
        aria-label={`Remove ${file.name}`}
        disabled={isRunning.value}
        onClick={() => remove(id)}
      >
        <Icon of={X} size={16} />
      </button>
    </li>
  );
}
