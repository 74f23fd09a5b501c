import { StoredRows } from "./stored-rows.js";
import { StreamedHead } from "./streamed-head.js";
import type { Weights } from "./weights.js";

/** The embedding table and the head that are not on the device. */
export interface StreamedTables {
  readonly rows: StoredRows;
  readonly head: StreamedHead;
}

/** Makes them for tables `[V, D]`; the head is the embedding table if there is none of its own, named without `.weight`. */
export function streamedTables(
  embedding: Weights,
  head: { readonly weights: Weights; readonly name: string } | undefined,
  vocabulary: number,
  width: number,
): StreamedTables {
  const [weights, name] = head ? [head.weights, `${head.name}.weight`] : [embedding, "weight"];
  return {
    rows: new StoredRows(embedding, "weight", vocabulary, width),
    head: new StreamedHead(weights, name, vocabulary, width),
  };
}
