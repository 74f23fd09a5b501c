import { expect, test, vi } from "vitest";
import { AbortedError } from "../../src/base/errors.js";
import type { TensorIndex } from "../../src/io/checkpoint/tensor-index.js";
import { type LayerPlan, LayerStore } from "../../src/layers/layer-store.js";
import { Linear } from "../../src/layers/linear.js";
import { WeightLoader } from "../../src/layers/weights.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { useDevice } from "../support/device.js";
import { floatTensor, indexOf } from "../support/layers.js";
import { normals } from "../support/random.js";

const held = useDevice();
const [WIDTH, LAYERS] = [40, 5];

function checkpoint(): Promise<TensorIndex> {
  return indexOf(
    Array.from({ length: LAYERS }, (_, i) =>
      floatTensor(`layers.${i}.proj.weight`, [WIDTH, WIDTH], normals(WIDTH * WIDTH, i + 1, 0.2)),
    ),
  );
}

/** Layers y = x·Wᵀ, of which `plan` stay; with the bytes of their weights on the device. */
async function stored(plan?: LayerPlan, index?: TensorIndex) {
  const { device } = held;
  const before = device.pool.liveBytes;
  const loader = new WeightLoader(device, index ?? (await checkpoint()));
  const arena = device.arena("layers");
  const parts = [{ name: "proj", columns: WIDTH }];
  const store = arena.run(
    () =>
      new LayerStore(
        loader.root(),
        LAYERS,
        (weights, i) => new Linear(weights.at(`layers.${i}`), WIDTH, parts, { bias: false }),
        plan,
      ),
  );
  loader.check("checkpoint", () => false);
  const bytes = device.pool.liveBytes - before;
  await loader.load({});
  await store.prepare();
  const free = (): void => {
    void store.close();
    arena.dispose();
  };
  return { store, loader, bytes, free };
}

/** W₅·…·W₁·x of a row x. */
async function product(store: LayerStore<Linear>): Promise<Float32Array> {
  const { device } = held;
  const owner = device.arena("pass");
  let x: Tensor = owner.run(() => device.upload(normals(WIDTH, 99), [1, WIDTH], "x"));
  try {
    for (const [i, layer] of store.layers.entries()) {
      await store.ready(i);
      x = owner.run(() => layer.forward(x));
      store.used(i);
    }
    return await x.read();
  } finally {
    owner.dispose();
  }
}

test.each([
  { resident: 0, slots: 1 },
  { resident: 0, slots: 2 },
  { resident: 2, slots: 2 },
  { resident: 0, slots: 3 },
  { resident: 3, slots: 9 },
])("a ring of $slots after $resident layers gives what layers that stay give, pass after pass", async (plan) => {
  const all = await stored();
  expect(all.store.streams).toBe(false);
  const truth = await product(all.store);
  all.free();
  const { store, bytes, free } = await stored(plan);
  for (let pass = 0; pass < 3; pass++) expect(await product(store)).toEqual(truth);
  const slots = Math.min(plan.slots, LAYERS - plan.resident - 1);
  expect(store.slots.length).toBe(slots);
  expect(bytes).toBe(((plan.resident + slots) * all.bytes) / LAYERS);
  free();
});

test("the slot of a layer is filled with the next one when its work is recorded", async () => {
  const { store, loader, free } = await stored({ resident: 1, slots: 2 });
  const read = vi.spyOn(loader, "loadLayer");
  const names = () => read.mock.calls.map(([{ requests }]) => requests[0]!.name[7]);
  await store.ready(1);
  expect(names()).toEqual([]);
  store.used(1);
  store.used(2);
  await store.ready(3);
  await store.ready(4);
  expect(names()).toEqual(["3", "4"]);
  store.used(3);
  store.used(4);
  await store.ready(1);
  expect(names()).toEqual(["3", "4", "1", "2"]);
  free();
});

test("a layer that could not be read is read again by the next pass", async () => {
  const index = await checkpoint();
  const { read } = index;
  const { store, free } = await stored({ resident: 0, slots: 2 }, index);
  const truth = await product(store);
  await store.ready(0);
  let faults = 1;
  index.read = (...range) => {
    if (range[0].entry.name.includes(".3.") && faults-- > 0) return Promise.reject(new Error("a bad sector"));
    return read.apply(index, range);
  };
  await expect(product(store)).rejects.toThrow("a bad sector");
  expect(await product(store)).toEqual(truth);
  free();
});

test("passes wait for each other, and one that is aborted meanwhile lets the next begin in its turn", async () => {
  const { store, free } = await stored({ resident: 0, slots: 2 });
  const order: string[] = [];
  let end = (): void => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const controller = new AbortController();
  const first = store.pass(
    async () => {
      order.push("first begins");
      await ended;
      order.push("first ends");
    },
    undefined,
    "generating",
  );
  const second = store.pass(async () => void order.push("second"), controller.signal, "generating");
  const third = store.pass(async () => void order.push("third"), undefined, "generating");
  controller.abort();
  await expect(second).rejects.toThrow(AbortedError);
  end();
  await Promise.all([first, third]);
  expect(order).toEqual(["first begins", "first ends", "third"]);
  free();
});

test("closing ends a read without writing to memory that was freed, and resolves when nothing is read", async () => {
  const index = await checkpoint();
  const { store, free } = await stored({ resident: 0, slots: 2 }, index);
  store.used(0);
  const reading = store.ready(2);
  const closed = store.close();
  free();
  await expect(reading).rejects.toThrow(AbortedError);
  await closed;
  const read = vi.spyOn(index, "read");
  await held.device.sync();
  expect(read).not.toHaveBeenCalled();
  expect(held.device.pool.liveBytes).toBe(0);
});
