/** One end of a connection, told by its shape: Node's workers say `on` where those of pages say `addEventListener`. */

interface EventEnd {
  addEventListener(type: string, listener: (event: Event) => void): void;
  removeEventListener(type: string, listener: (event: Event) => void): void;
}

interface EmitterEnd {
  on(type: string, listener: (value: unknown) => void): unknown;
  off(type: string, listener: (value: unknown) => void): unknown;
}

/** Where a worker's script hears its page: `self`, Node's `parentPort`, or a MessagePort. */
export type ServingEnd = EventEnd | EmitterEnd;

/** How a page reaches a worker: a Worker of the browser or of Node, or a MessagePort to one (`sharedWorker.port`). */
export type WorkerEnd = ServingEnd & {
  postMessage(message: unknown, transfer: never[]): void;
};

/** Calls `heard` with the data of messages, or with the event or error itself, until what is returned is called. */
export function listen(end: ServingEnd, type: string, heard: (value: unknown) => void): () => void {
  if (!("addEventListener" in end)) {
    end.on(type, heard);
    return () => end.off(type, heard);
  }
  const listener = (event: Event): void => heard(type === "message" ? (event as MessageEvent).data : event);
  end.addEventListener(type, listener);
  // Ports of pages hold messages back until then.
  if (type === "message" && "start" in end && typeof end.start === "function") end.start();
  return () => end.removeEventListener(type, listener);
}
