/** How the learning rate changes: not at all, or along half a cosine to 0, after a linear warm-up. */
export type Schedule = "constant" | "cosine";

/** Learning rate of a step (from 1) as a factor of the given one, as transformers' schedulers compute it. */
export function rateFactor(schedule: Schedule, step: number, steps: number, warmupSteps: number): number {
  const done = step - 1;
  if (done < warmupSteps) return done / warmupSteps;
  if (schedule === "constant") return 1;
  return 0.5 * (1 + Math.cos((Math.PI * (done - warmupSteps)) / Math.max(1, steps - warmupSteps)));
}
