/** Members that are added at once: a server far away takes some time for each. */
const AT_ONCE = 16;

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
    const adding = new Set<Promise<void>>();
    let isLast = false;
    try {
      while (this.#state === "busy" && !this.#failure && hasRoom()) {
        const next = await this.#source.next();
        isLast = next.done === true;
        if (next.done) break;
        const added: Promise<void> = this.#add(next.value).finally(() => adding.delete(added));
        adding.add(added);
        if (adding.size >= AT_ONCE) await Promise.race(adding);
      }
    } catch (error) {
      this.#failure = { error };
    }
    await Promise.all(adding);
    if (this.#state === "busy") this.#state = isLast ? "over" : "idle";
    this.changed();
  }

  async #add(member: T): Promise<void> {
    try {
      await this.add(member);
    } catch (error) {
      this.#failure ??= { error };
    }
    this.changed();
  }
}
