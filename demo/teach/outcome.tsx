import { Check, Download, X } from "lucide";
import { download } from "../download.js";
import { Icon } from "../icon.js";
import { adapters } from "../talk/model.js";
import { isRight, isSaved, type Run, use } from "./teaching.js";

/** Answers about the examples that were held out, before and after. */
export function Outcome({ run }: { run: Run }) {
  const { tested, phase } = run;
  if (tested.length === 0) return null;
  const right = (answers: readonly (string | undefined)[]): number =>
    answers.filter((answer, i) => isRight(tested[i]!.example, answer)).length;
  const before = right(tested.map((one) => one.before));
  const after = right(tested.map((one) => one.after));
  return (
    <section class="stack" aria-label="Test">
      <p data-before={before} data-after={phase === "done" ? after : undefined}>
        Right about the {tested.length} {tested.length === 1 ? "picture" : "pictures"} that it was not taught:{" "}
        <strong>{before}</strong> before
        {phase === "done" && (
          <>
            , <strong>{after}</strong> after
          </>
        )}
        .
      </p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard */}
      <section class="wide" tabIndex={0} aria-label="Answers before and after">
        <table>
          <thead>
            <tr>
              <th scope="col">Picture</th>
              <th scope="col">Right answer</th>
              <th scope="col">Before</th>
              <th scope="col">After</th>
            </tr>
          </thead>
          <tbody>
            {tested.map(({ example, before, after }) => (
              <tr key={example.id}>
                <td>
                  <img class="taught" src={example.url} alt={example.file.name} />
                </td>
                <td>{example.answer}</td>
                <td>{before}</td>
                <td>
                  {after !== undefined && (
                    <span class="row">
                      <Icon of={isRight(example, after) ? Check : X} size={16} />
                      {after}
                    </span>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </section>
  );
}

/** What can be done with what was learnt. */
export function Learnt({ run }: { run: Run }) {
  if (run.adapter === undefined || run.files.length === 0) return null;
  const save = (): void => {
    for (const file of run.files) download(file, file.name);
    isSaved.value = true;
  };
  const isUsed = adapters.value.includes(run.adapter);
  return (
    <div class="stack">
      <p class="row">
        <label class="check">
          <input type="checkbox" checked={isUsed} onChange={({ currentTarget }) => use(currentTarget.checked)} />
          Use it in the conversation
        </label>
        <button type="button" onClick={save}>
          <Icon of={Download} />
          Download the adapter
        </button>
      </p>
      {isSaved.value && (
        <p class="small muted" role="status">
          {run.files.map(({ name }) => name).join(" and ")}: in one folder they are an adapter that PEFT loads, and{" "}
          <code>ocellus ask --adapter FOLDER</code>.
        </p>
      )}
    </div>
  );
}
