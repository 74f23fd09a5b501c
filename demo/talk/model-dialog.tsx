import { useSignal } from "@preact/signals";
import type { StorageDtype } from "ocellus";
import { useRef } from "preact/hooks";
import { Dialog } from "../dialog.js";
import { FaultView } from "../fault-view.js";
import { CachedModels } from "./cached-models.js";
import { openFiles } from "./dropped.js";
import { EstimateTable } from "./estimate-table.js";
import { answeringChoice, budget, open } from "./model.js";
import { CardList } from "./model-cards.js";

/** Checkpoints of the model family that fit into the graphics memory of a desktop or a phone. */
const SUGGESTED = [
  "llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
  "lmms-lab/llava-onevision-qwen2-0.5b-ov",
  "llava-hf/llava-onevision-qwen2-7b-ov-hf",
];

export const DTYPES: readonly { readonly value: StorageDtype; readonly label: string }[] = [
  { value: "q4", label: "4 bits: smallest" },
  { value: "q8", label: "8 bits: nearly exact" },
  { value: "auto", label: "as stored: exact" },
];

/** Dialog to load another model: a cached one, one of the Hub, or files. */
export function ModelDialog({ onClose }: { onClose: () => void }) {
  const id = useSignal("");
  const dtype = useSignal<StorageDtype>("q8");
  const folder = useRef<HTMLInputElement>(null);
  const failed = useSignal<unknown>(undefined);
  const asked = useSignal<string | undefined>(undefined);

  const load = (next: Parameters<typeof open>[0]): void => {
    void open(next);
    onClose();
  };
  const current = answeringChoice.value;
  return (
    <Dialog title="Model" onClose={onClose}>
      <p>
        Current model: <strong>{current.label}</strong>{" "}
        <button type="button" onClick={() => load(current)}>
          Load again
        </button>
      </p>
      <CardList onLoad={load} />
      <label>
        Graphics memory that a model may use, in MB (empty for no limit){" "}
        <input
          type="number"
          min={1}
          value={budget.value === undefined ? "" : budget.value / 1e6}
          onChange={({ currentTarget }) => {
            budget.value = currentTarget.valueAsNumber > 0 ? currentTarget.valueAsNumber * 1e6 : undefined;
          }}
        />
      </label>
      <CachedModels onLoad={load} dtype={dtype.value} />
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          load({ label: id.value, location: id.value.trim(), options: { dtype: dtype.value } });
        }}
      >
        <h3>From the Hugging Face Hub</h3>
        <label>
          Repository{" "}
          <input
            type="text"
            list="suggested"
            required
            pattern="[\w.\-]+\/[\w.\-]+(@.+)?"
            placeholder="organisation/name"
            value={id.value}
            onInvalid={({ currentTarget }) => {
              currentTarget.setCustomValidity(
                "Write a repository of the Hub as organisation/name, or choose one of the list.",
              );
            }}
            onInput={({ currentTarget }) => {
              currentTarget.setCustomValidity("");
              id.value = currentTarget.value;
              asked.value = undefined;
            }}
          />
        </label>
        <datalist id="suggested">
          {SUGGESTED.map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        <label>
          Weights{" "}
          <select
            value={dtype.value}
            onChange={({ currentTarget }) => (dtype.value = currentTarget.value as StorageDtype)}
          >
            {DTYPES.map(({ value, label }) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <div class="row">
          <button type="button" disabled={!id.value.includes("/")} onClick={() => (asked.value = id.value.trim())}>
            What will it take?
          </button>
          <button type="submit" class="primary" disabled={id.value.trim() === ""}>
            Download and load
          </button>
        </div>
        {asked.value !== undefined && <EstimateTable key={asked.value} id={asked.value} />}
        <p class="small muted">
          The files are cached in this browser's storage, and interrupted downloads resume where they stopped.
        </p>
      </form>
      <section class="stack">
        <h3>From files</h3>
        <p class="small muted">
          Choose a checkpoint's folder, or drop it anywhere on the page. The files stay where they are.
        </p>
        <div class="row">
          <button type="button" onClick={() => folder.current?.click()}>
            Choose a folder
          </button>
        </div>
        <input
          ref={folder}
          type="file"
          multiple
          hidden
          aria-label="Folder of a checkpoint"
          {...{ webkitdirectory: true }}
          onChange={({ currentTarget }) => {
            if (openFiles([...(currentTarget.files ?? [])], { dtype: dtype.value })) onClose();
            else
              failed.value = new Error(
                "There is no .safetensors file in this folder: choose a folder with the files of a checkpoint.",
              );
          }}
        />
        {failed.value !== undefined && <FaultView error={failed.value} />}
      </section>
    </Dialog>
  );
}
