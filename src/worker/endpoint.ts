/** One end of a connection: Node's workers have `on`, those of browsers `addEventListener`. */

interface EventEnd {
  addEventListener(type: string, listener: (event: Event) => void): void;
  removeEventListener(type: string, listener: (event: Event) => void): void;
}

interface EmitterEnd {
  on(type: string, listener: (value: unknown) => void): unknown;
  off(type: string, listener: (value: unknown) => void): unknown;
}

/** The worker's end: `self`, Node's `parentPort`, or a MessagePort. */
export type ServingEnd = EventEnd | EmitterEnd;

/** The page's end: a Worker of the browser or of Node, or a MessagePort to one (`sharedWorker.port`). */
export type WorkerEnd = ServingEnd & {
  postMessage(message: unknown, transfer: never[]): void;
};

/**
 * Listens to an event: calls `heard` with the data of messages, or with the event or error. Returns a function that removes the
 * listener.
 */
export function listen(end: ServingEnd, type: string, heard: (value: unknown) => void): () => void {
  if (!("addEventListener" in end)) {
    end.on(type, heard);
    return () => end.off(type, heard);
  }
  const listener = (event: Event): void => heard(type === "message" ? (event as MessageEvent).data : event);
  end.addEventListener(type, listener);
  // Ports in browsers queue messages until started.
  if (type === "message" && "start" in end && typeof end.start === "function") end.start();
  return () => end.removeEventListener(type, listener);
}
