import { useSignal } from "@preact/signals";
import { FaultView } from "../fault-view.js";
import { compared, readReport } from "./comparison.js";

/** Where a report of another run is pasted, to be compared with. */
export function Comparison() {
  const failed = useSignal<unknown>(undefined);
  const read = (text: string): void => {
    failed.value = undefined;
    compared.value = undefined;
    if (text.trim() === "") return;
    try {
      compared.value = readReport(text);
    } catch (error) {
      failed.value = error;
    }
  };
  return (
    <details>
      <summary>Compare with another report</summary>
      <div class="stack">
        <textarea
          rows={3}
          aria-label="JSON lines of another report"
          placeholder="Paste the JSON lines of another run, of this page or of `ocellus bench --json`"
          onInput={({ currentTarget }) => read(currentTarget.value)}
        />
        {failed.value !== undefined && <FaultView error={failed.value} />}
        {compared.value && (
          <p class="small muted" role="status">
            Compared with {compared.value.medianMs.size} results of {compared.value.adapter}: 2.00× is twice as fast.
          </p>
        )}
      </div>
    </details>
  );
}
