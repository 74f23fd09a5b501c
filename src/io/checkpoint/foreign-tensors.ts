/** Recognises checkpoints of other tools by their tensor names. */

/** What was recognised, and the remedy. */
export type Found = { readonly got: string; readonly remedy: string };

/** Names of a list that are shown. */
const SHOWN = 5;

/** Suffixes of tensor names by tool. */
const TENSORS: readonly (readonly [name: RegExp, found: Found])[] = [
  [
    /\blora_(A|B|embedding_[AB]|magnitude_vector)\b/,
    {
      got: "LoRA matrices of an adapter",
      remedy: "merge the adapter into its base model first, with PEFT's merge_and_unload",
    },
  ],
  [
    /\.(qweight|qzeros|weight_packed|weight_scale|weight_scale_inv|absmax|quant_map|SCB|scales)$/,
    {
      got: "matrices quantised by another tool",
      remedy: 'use the checkpoint they were quantised from, with dtype "q8" or "q4"',
    },
  ],
];

/** Recognises tensors that no unquantised checkpoint has. */
export function foreignTensors(names: Iterable<string>): Found | undefined {
  for (const name of names) {
    const known = TENSORS.find(([pattern]) => pattern.test(name));
    if (known) return { ...known[1], got: `${known[1].got} (${name})` };
  }
  return undefined;
}

/** Names for a message, the first of them if they are many. */
export function listed(names: readonly string[], most = SHOWN): string {
  const more = names.length > most ? ` and ${names.length - most} more` : "";
  return names.slice(0, most).join(", ") + more;
}
