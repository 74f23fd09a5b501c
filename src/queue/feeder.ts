/** Takes the members of a source in the background while there is room for them. */
export class Feeder<T> {
  readonly #source: AsyncIterator<T> | Iterator<T>;
  #state: "idle" | "busy" | "over" = "idle";
  #failure: { readonly error: unknown } | undefined;

  /** `add` takes a member; `changed` is called after each, and at the end of the source. */
  constructor(
    source: AsyncIterable<T> | Iterable<T>,
    private readonly add: (member: T) => Promise<void>,
    private readonly changed: () => void,
  ) {
    this.#source = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  }

  /** Whether every member was added. Throws the error of the source or of `add`. */
  get isOver(): boolean {
    if (this.#failure) throw this.#failure.error;
    return this.#state === "over";
  }

  /** Adds until `hasRoom` returns false. */
  fill(hasRoom: () => boolean): void {
    if (this.#state !== "idle" || !hasRoom()) return;
    this.#state = "busy";
    void this.#fill(hasRoom);
  }

  /** Ends the source. */
  end(): void {
    this.#state = "over";
    // A source that waits for its writer may never answer.
    void Promise.resolve(this.#source.return?.()).catch(() => {});
  }

  async #fill(hasRoom: () => boolean): Promise<void> {
    try {
      while (this.#state === "busy" && hasRoom()) {
        const next = await this.#source.next();
        if (next.done) this.#state = "over";
        else await this.add(next.value);
        this.changed();
      }
      if (this.#state === "busy") this.#state = "idle";
    } catch (error) {
      this.#failure = { error };
    }
    this.changed();
  }
}
