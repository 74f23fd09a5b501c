import { useSignal } from "@preact/signals";
import type { Estimate, StorageDtype } from "ocellus";
import { useEffect } from "preact/hooks";
import { FaultView } from "../fault-view.js";
import { inBytes } from "../quantities.js";
import { DTYPES } from "./model-dialog.js";

interface Row {
  readonly dtype: StorageDtype;
  readonly label: string;
  readonly estimate: Estimate;
}

/** Download size and graphics memory of a Hub checkpoint for each storage dtype, estimated from its headers alone. */
export function EstimateTable({ id }: { id: string }) {
  const rows = useSignal<readonly Row[]>([]);
  const failed = useSignal<unknown>(undefined);
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    const estimateAll = async (): Promise<void> => {
      const { LlavaOneVision } = await import("ocellus");
      for (const { value, label } of DTYPES) {
        const estimate = await LlavaOneVision.estimate(id, { dtype: value, signal });
        if (signal.aborted) return;
        rows.value = [...rows.value, { dtype: value, label, estimate }];
      }
    };
    estimateAll().catch((error: unknown) => {
      if (!signal.aborted) failed.value = error;
    });
    return () => controller.abort();
  }, [id]);
  if (failed.value !== undefined) return <FaultView error={failed.value} />;
  return (
    <table aria-label="What it takes" aria-busy={rows.value.length < DTYPES.length}>
      <thead>
        <tr>
          <th scope="col">Weights</th>
          <th scope="col">Download</th>
          <th scope="col">Graphics memory</th>
        </tr>
      </thead>
      <tbody>
        {rows.value.map(({ dtype, label, estimate }) => (
          <tr key={dtype}>
            <th scope="row">{label}</th>
            <td>{inBytes(estimate.download.missingBytes)}</td>
            <td>{inBytes(estimate.totalBytes)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
