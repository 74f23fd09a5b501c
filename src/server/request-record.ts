import type { Ended } from "./backend.js";
import type { Log } from "./log.js";
import { requestId } from "./request-id.js";

/** What is logged of a request: nothing that its client has written but its id. */
export class RequestRecord {
  readonly id: string;
  readonly arrivedMs = performance.now();
  status = 0;
  /** The key's name. */
  key: string | undefined;
  /** The code of an error, also of one that ended a stream. */
  code: string | undefined;
  /** When the request last got a slot. */
  begunMs: number | undefined;
  /** Resolves when nothing of the answer is left to send. */
  sent: Promise<unknown> = Promise.resolve();
  /** Resolves when the model has ended the request. */
  ended: () => Promise<Ended | undefined> = async () => undefined;

  constructor(
    givenId: string | undefined,
    readonly method: string,
    readonly route: string,
    readonly address: string | undefined,
  ) {
    this.id = requestId(givenId);
  }

  /** Seconds since the request arrived. */
  get seconds(): number {
    return (performance.now() - this.arrivedMs) / 1000;
  }

  /** Writes the line when the request is over. */
  async write(log: Log): Promise<void> {
    await this.sent;
    const answers = (await this.ended())?.answers ?? [];
    const [first] = answers;
    log.event(this.status >= 500 ? "warning" : "info", "request", {
      id: this.id,
      method: this.method,
      route: this.route,
      status: this.status,
      error: this.code,
      seconds: rounded(this.seconds),
      waited: this.begunMs === undefined ? undefined : rounded((this.begunMs - this.arrivedMs) / 1000),
      prompt_tokens: first?.usage.promptTokens,
      completion_tokens: first && answers.reduce((sum, { usage }) => sum + usage.completionTokens, 0),
      key: this.key,
      address: this.address,
    });
  }
}

/** To milliseconds. */
function rounded(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
