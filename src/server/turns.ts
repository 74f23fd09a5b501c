import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Requests that a connection may have unanswered: clients that pipeline send a few. */
const MOST_PIPELINED = 32;

/**
 * Lets a server answer the paths of `probes` at once and other requests in turns: hundreds may come together. A connection with more
 * unanswered requests than any client sends is closed.
 */
export function answerInTurns(server: Server, probes: ReadonlySet<string>): void {
  const [answer] = server.listeners("request") as ((request: IncomingMessage, response: ServerResponse) => void)[];
  const turns = new Turns();
  const unanswered = new WeakMap<Socket, number>();
  const count = (socket: Socket, more: number): number => {
    const number = (unanswered.get(socket) ?? 0) + more;
    unanswered.set(socket, number);
    return number;
  };
  server.removeAllListeners("request").on("request", (request, response) => {
    const { socket } = request;
    // What the same packet had besides is parsed, but not answered.
    if (socket.destroyed) return;
    if (count(socket, 1) > MOST_PIPELINED) {
      socket.destroy();
      return;
    }
    response.once("close", () => count(socket, -1));
    if (probes.has(request.url ?? "")) return answer!(request, response);
    turns.add(() => {
      if (!socket.destroyed) answer!(request, response);
    });
  });
}

/** Milliseconds of work in one turn of the event loop. */
const TURN_MS = 4;

/**
 * Work that comes in bursts, such as hundreds of requests at once: it is done in the order in which it came, a few milliseconds of it in each
 * turn of the event loop, so that what comes meanwhile is noticed.
 */
export class Turns {
  #waiting: (() => void)[] = [];
  #begun = false;

  /** Runs `work` in a turn of its queue. It must not throw. */
  add(work: () => void): void {
    this.#waiting.push(work);
    if (this.#begun) return;
    this.#begun = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    const until = performance.now() + TURN_MS;
    let done = 0;
    while (done < this.#waiting.length && (done === 0 || performance.now() < until)) this.#waiting[done++]!();
    this.#waiting = this.#waiting.slice(done);
    this.#begun = this.#waiting.length > 0;
    if (this.#begun) setImmediate(this.#turn);
  };
}
