import { unlessAborted } from "../../base/abort.js";
import { throwIfAborted } from "../../base/errors.js";
import { partOf } from "../../layers/divided-kv-cache.js";
import type { KVCache } from "../../layers/kv-cache.js";
import type { Arena } from "../../runtime/arena.js";
import type { Tensor } from "../../runtime/tensor.js";
import { advance, atPositions, type Chunk } from "./layer-pass.js";
import type { PassOptions } from "./pass-options.js";
import type { Qwen2, Stage } from "./qwen2.js";

/** A stage in a pass. */
interface Place extends Stage {
  /** Its number. */
  readonly at: number;
  /** Its first layer. */
  readonly first: number;
  /** Owns the hidden states on its device. */
  readonly arena: Arena;
}

/** A chunk whose layers on one device are recorded. */
interface Recorded {
  /** Its hidden states `[T, D]` in host memory, once the device has computed them. */
  readonly rows: Promise<Float32Array>;
}

/**
 * A pass over layers on several devices: pipeline parallelism (GPipe, arXiv 1811.06965). Every chunk goes through the devices in their order,
 * its hidden states from one to the next through host memory; meanwhile a device computes the next chunk. `begin` records the layers' input on
 * the first device, owned by an arena. Returns the hidden states `[T, D]` of each chunk after the final norm, on the first device. Passes of all
 * sequences take turns. Throws DeviceLostError, which names the device, and AbortedError.
 */
export async function passStages(
  language: Qwen2,
  caches: readonly KVCache[],
  begin: (arena: Arena) => readonly Chunk[] | Promise<readonly Chunk[]>,
  options: PassOptions,
): Promise<Tensor[]> {
  const { where, signal, check } = options;
  let first = 0;
  const places = language.stages.map((stage, at): Place => {
    const place = { ...stage, at, first, arena: stage.device.arena("pass") };
    first += stage.layers;
    return place;
  });
  const releases = [...new Set(caches)].map((cache) => cache.hold());
  const work = async (): Promise<Tensor[]> => {
    check?.();
    const chunks = await begin(places[0]!.arena);
    const computed = await new Pipeline(language, places, chunks, options).run();
    const hidden = computed.map((rows) => lastNorm(language, rows, options));
    advance(chunks);
    return hidden;
  };
  try {
    return await language.store.pass(work, signal, where);
  } finally {
    for (const { arena } of places) arena.dispose();
    for (const release of releases) release();
  }
}

/** Uploads hidden states to the first device, and normalises them. */
function lastNorm(language: Qwen2, rows: Float32Array, { owner, around = (work) => work() }: PassOptions): Tensor {
  const { device } = owner;
  let hidden: Tensor | undefined;
  around(() => {
    hidden = owner.run(() => device.scope(() => language.normed(upload(rows, language, owner))));
  }, language.layers.length);
  return hidden!;
}

function upload(rows: Float32Array, { config }: Qwen2, { device }: Arena): Tensor {
  return device.upload(rows, [rows.length / config.width, config.width], "hidden states");
}

/** The schedule of a pass: as soon as its input is there, a device records a chunk. */
class Pipeline {
  /** Layers that are recorded, of all chunks. */
  #recorded = 0;

  constructor(
    private readonly language: Qwen2,
    private readonly places: readonly Place[],
    private readonly chunks: readonly Chunk[],
    private readonly options: PassOptions,
  ) {}

  /** Returns the hidden states of each chunk after the last layer. */
  async run(): Promise<Float32Array[]> {
    const steps: Promise<Recorded>[][] = [];
    for (const [i, chunk] of this.chunks.entries()) {
      const own: Promise<Recorded>[] = [];
      for (const place of this.places) {
        const { at } = place;
        own.push(this.#step(place, chunk, own[at - 1], steps[i - 1]?.[at], steps[i - 2]?.[at]));
      }
      steps.push(own);
    }
    // After an error the others end too, before memory is freed.
    for (const outcome of await Promise.allSettled(steps.flat())) {
      if (outcome.status === "rejected") throw outcome.reason;
    }
    const { signal, where } = this.options;
    const last = steps.map(async (own) => (await own.at(-1)!).rows);
    return unlessAborted(Promise.all(last), signal, where);
  }

  /**
   * Records a device's layers over a chunk, after the chunk before it, whose rows precede its own in the KV caches, and when the one before
   * that has been computed: at most one chunk waits at a device.
   */
  async #step(
    place: Place,
    chunk: Chunk,
    input: Promise<Recorded> | undefined,
    before: Promise<Recorded> | undefined,
    earlier: Promise<Recorded> | undefined,
  ): Promise<Recorded> {
    const { signal, where, check } = this.options;
    const computed = async (step: Promise<Recorded> | undefined): Promise<Float32Array | undefined> => {
      const recorded = await step;
      return recorded && unlessAborted(recorded.rows, signal, where);
    };
    const rows = await computed(input);
    await before;
    await computed(earlier);
    throwIfAborted(signal, where);
    check?.();
    const x = rows ? place.arena.run(() => upload(rows, this.language, place.arena)) : chunk.x;
    const y = this.#record(place, chunk, x);
    const read = y.read();
    read.catch(() => {}); // thrown where it is awaited
    // The copy is recorded: what is recorded next may use the memory.
    y.dispose();
    return { rows: read };
  }

  /** Records the layers: x `[T, D]` → `[T, D]`. Frees x. */
  #record({ device, arena, at, first, layers }: Place, { sequences, positions }: Chunk, x: Tensor): Tensor {
    const { language, options } = this;
    const { around = (work: () => void) => work(), onLayer } = options;
    const own = {
      sequences: sequences.map(({ cache, rows }) => ({ cache: partOf(cache, at), rows })),
      positions,
    };
    let y = x;
    for (const [i, layer] of language.layers.slice(first, first + layers).entries()) {
      around(() => {
        const input = y;
        y = arena.run(() => device.scope(() => atPositions(own, () => layer.forward(input, own.sequences))));
        input.dispose();
        this.places[0]!.device.tap?.(`blocks.${first + i}`, y);
      }, first + i);
      this.#recorded++;
    }
    onLayer?.(Math.floor(this.#recorded / this.chunks.length), language.layers.length);
    return y;
  }
}
