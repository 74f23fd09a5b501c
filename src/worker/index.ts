/** Runs models in a worker: `serve` in the worker's script, `WorkerModel` in the page. */

export type { ServingEnd, WorkerEnd } from "./endpoint.js";
export { serve } from "./serve.js";
export { WorkerAnswer } from "./worker-answer.js";
export { type WorkerLoadOptions, WorkerModel } from "./worker-model.js";
export { type Transfers, WorkerSession } from "./worker-session.js";
