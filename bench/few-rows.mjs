// Matrix products of 1 to 16 rows at the shapes of the 0.5B decoder: milliseconds of one step's products by number of rows, and the
// rows per second against one row. Run `npm run build` before; OCELLUS_ADAPTER chooses the adapter.
//
//   node bench/few-rows.mjs [f16,q4] [1,2,4,8,16]

import { matmul } from "../dist/kernels/matmul.js";
import { packMatrix } from "../dist/kernels/pack.js";
import { Device } from "../dist/runtime/device.js";

const types = (process.argv[2] ?? "f16,q4").split(",");
const counts = (process.argv[3] ?? "1,2,4,8,16").split(",").map(Number);
const LAYERS = 24;
const [D, F, QKV, V] = [896, 4864, 1152, 151_936];
const ROUNDS = 3;

const device = await Device.open();
console.log(device.facts.name);
const arena = device.arena("few rows");
const noise = (n) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * 12.9898) * 0.1);

for (const type of types) {
  const made = arena.run(() => {
    const matrix = (columns, inner, label) => packMatrix(device, noise(columns * inner), [columns, inner], label, type);
    return {
      qkv: matrix(QKV, D, "qkv"),
      out: matrix(D, D, "out"),
      gateUp: matrix(2 * F, D, "gate+up"),
      down: matrix(D, F, "down"),
      head: matrix(V / 8, D, "head"),
      weight: device.upload(noise(D), [D], "norm"),
      bias: device.upload(noise(QKV), [QKV], "bias"),
    };
  });
  const norm = { weight: made.weight, epsilon: 1e-6 };
  /** One layer's products, or an eighth of the head's. */
  const layer = (x, residual, f) => {
    matmul(x, made.qkv, { norm, bias: made.bias });
    matmul(x, made.out, { residual });
    matmul(x, made.gateUp, { norm, swiglu: true });
    matmul(f, made.down, { residual });
  };
  const best = new Map(counts.map((rows) => [rows, Number.POSITIVE_INFINITY]));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const rows of counts) {
      const inputs = arena.run(() => ({
        x: device.upload(noise(rows * D), [rows, D], "x"),
        f: device.upload(noise(rows * F), [rows, F], "f"),
      }));
      await device.sync();
      const began = performance.now();
      for (let i = 0; i < 4; i++) device.scope(() => layer(inputs.x, inputs.x, inputs.f));
      await device.sync();
      const layers = ((performance.now() - began) / 4) * LAYERS;
      const headBegan = performance.now();
      device.scope(() => void matmul(inputs.x, made.head, {}));
      await device.sync();
      const head = (performance.now() - headBegan) * 8;
      // The first round compiles.
      if (round > 0) best.set(rows, Math.min(best.get(rows), layers + head));
      for (const tensor of Object.values(inputs)) tensor.dispose();
    }
  }
  const one = best.get(counts[0]);
  for (const [rows, ms] of best) {
    console.log(
      `${type}  ${String(rows).padStart(2)} rows  ${ms.toFixed(0).padStart(5)} ms  ${((rows * one) / ms).toFixed(2)}×`,
    );
  }
}
device.dispose();
process.exit(0);
