import { constants } from "node:os";

/** Signals by which terminals, shells and supervisors end a command. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
export type StopSignal = (typeof SIGNALS)[number];

/** One Ctrl-C may arrive twice within this time: from the terminal, and forwarded by npx or a parent process. */
const TOGETHER_MS = 500;

/**
 * Ctrl-C and the like. A command that never asks for `signal` ends at once with the shells' status, 128 + the signal's number. One that
 * asks for it unwinds, for example removes a partial folder; another Ctrl-C ends it at once.
 */
export class Interruption {
  /** Status of the process if it was interrupted. */
  status: number | undefined;
  #abort: AbortController | undefined;
  #react: ((name: StopSignal) => void) | undefined;

  #last = Number.NEGATIVE_INFINITY;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Listens to the signals of this process. */
  static listen(): Interruption {
    const interruption = new Interruption();
    for (const name of SIGNALS) process.on(name, () => interruption.interrupt(name));
    return interruption;
  }

  /** Aborts with the first signal; from here on the command has to end by itself. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    return this.#abort.signal;
  }

  /** Makes a command react to signals in its own way, in place of an abort; undefined undoes it. */
  react(react: ((name: StopSignal) => void) | undefined): void {
    this.#react = react;
  }

  /** What a signal does. */
  interrupt(name: StopSignal): void {
    const now = this.now();
    const isSame = now - this.#last < TOGETHER_MS;
    this.#last = now;
    if (isSame) return;
    if (this.#react) {
      this.#react(name);
      return;
    }
    const isFirst = this.status === undefined;
    this.status = statusOf(name);
    if (!this.#abort || !isFirst) process.exit(this.status);
    this.#abort.abort();
  }
}

/** Status of a process that a signal ended, as shells report it. */
export function statusOf(name: NodeJS.Signals): number {
  return 128 + constants.signals[name];
}
