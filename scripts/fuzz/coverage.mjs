// Block coverage of the compiled library, as V8 counts it in this thread.

import { Session } from "node:inspector";

/** The library, and the packages that parse for it. */
const OURS = /\/dist\/(?!.*node_modules)|node_modules\/(@huggingface|mp4box|mediabunny)\//;

/** Counts which blocks of `dist` ran, to find inputs that reach new ones. */
export class Coverage {
  #session = new Session();
  #seen = new Set();

  constructor() {
    this.#session.connect();
    this.#post("Profiler.enable");
    this.#post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  get blocks() {
    return this.#seen.size;
  }

  /** Returns the blocks that ran since the last call, and never before the last `add` of them. */
  take() {
    const found = [];
    for (const { scriptId, url, functions } of this.#post("Profiler.takePreciseCoverage").result) {
      if (!OURS.test(url)) continue;
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          const block = `${scriptId} ${startOffset} ${endOffset}`;
          if (count > 0 && !this.#seen.has(block)) found.push(block);
        }
      }
    }
    return found;
  }

  add(blocks) {
    for (const block of blocks) this.#seen.add(block);
  }

  /** Calls back synchronously, since the session is of this thread. */
  #post(method, parameters) {
    let result;
    this.#session.post(method, parameters, (error, value) => {
      if (error) throw error;
      result = value;
    });
    return result;
  }
}
