import type { InputItem } from "./responses-input.js";
import type { OutputMessage } from "./responses-wire.js";

/** Maximum characters of all stored conversations together; pictures are base64 in them. */
const MOST_CHARACTERS = 64 * 2 ** 20;
/** What a value of a request takes besides its characters. */
const VALUE_CHARACTERS = 16;

interface Stored {
  readonly items: readonly InputItem[];
  readonly message: OutputMessage;
  readonly characters: number;
}

/** The conversations of the latest responses by id, for requests that continue one. Least recently used ones are evicted first. */
export class ResponseStore {
  readonly #stored = new Map<string, Stored>();
  #characters = 0;

  constructor(
    readonly most: number,
    readonly mostCharacters = MOST_CHARACTERS,
  ) {}

  /** Stores a response: the items that were asked, and its answer. One that is larger than the limit is not stored. */
  keep(id: string, asked: readonly InputItem[], message: OutputMessage): void {
    const items = [...asked, { param: "previous_response_id", item: message as unknown as InputItem["item"] }];
    const characters = sizeOf(items);
    if (this.most === 0 || characters > this.mostCharacters) return;
    this.#stored.set(id, { items, message, characters });
    this.#characters += characters;
    while (this.#stored.size > this.most || this.#characters > this.mostCharacters) {
      const [oldest, { characters: freed }] = this.#stored.entries().next().value!;
      this.#stored.delete(oldest);
      this.#characters -= freed;
    }
  }

  /** The conversation of a response with its answer. */
  conversation(id: string): readonly InputItem[] | undefined {
    const stored = this.#stored.get(id);
    if (!stored) return undefined;
    this.#stored.delete(id);
    this.#stored.set(id, stored);
    return stored.items.map(({ item }) => ({ param: "previous_response_id", item }));
  }

  /** A stored answer by the id of its message. */
  answer(id: string): OutputMessage | undefined {
    for (const { message } of this.#stored.values()) if (message.id === id) return message;
    return undefined;
  }
}

/** Counts without recursion: requests may be nested deeply. */
function sizeOf(value: unknown): number {
  const open: unknown[] = [value];
  let characters = 0;
  while (open.length > 0) {
    const next = open.pop();
    characters += VALUE_CHARACTERS;
    if (typeof next === "string") characters += next.length;
    else if (typeof next === "object" && next !== null) {
      for (const [name, one] of Object.entries(next)) {
        characters += name.length;
        open.push(one);
      }
    }
  }
  return characters;
}
