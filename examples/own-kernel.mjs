// A kernel of your own: WGSL with named bindings, run by the tensor library.
//
//   node examples/own-kernel.mjs
import { Device, Kernel } from "ocellus/tensor";

const softplus = new Kernel(
  "softplus",
  `
struct Params { length: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;        // [length]
@group(0) @binding(1) var<storage, read_write> y: array<f32>;  // [length]

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < params.length) { y[id.x] = log(1.0 + exp(x[id.x])); }
}
`,
  { LANES: 64 },
);

const device = await Device.open();
const y = device.scope(() => {
  const x = device.upload(new Float32Array([-1, 0, 1, 2]), [4], "x");
  const y = device.empty([4], "f32", "y");
  device.run(softplus, { x, y }, { length: 4 }, [Math.ceil(4 / softplus.constants.LANES)]);
  return y;
});
console.log([...(await y.read())].map((value) => value.toFixed(4)).join(" "));
device.dispose();
