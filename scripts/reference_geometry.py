"""The float32 forward pass of LLaVA-OneVision in NumPy, for one picture and a short prompt: the truth of bench/real-geometry.mjs.

    node scripts/make-checkpoint.mjs FOLDER --size 0.5b
    python3 scripts/reference_geometry.py FOLDER test/data/geometry/logits-05b.json

Written from the model's description, independently of the TypeScript: weights widened from bf16 to float32, every product in float32 (BLAS), softmax
and norms in float32 with NumPy's pairwise sums. Needs NumPy alone; three minutes on two cores. Nothing else in the project needs Python.
"""
import hashlib
import json
import math
import sys
import time
from pathlib import Path

import numpy as np

F = np.float32
# "<|im_start|>user <image>\nWhat is in the picture?<|im_end|><|im_start|>assistant\n" in the vocabulary of Qwen2; the benchmark checks these ids.
BEFORE = [151644, 872, 220]
AFTER = [198, 3838, 374, 304, 279, 6802, 30, 151645, 151644, 77091, 198]
QUESTION = "What is in the picture?"
SIDE = 384
BEST, STEP = 64, 512


class Checkpoint:
    def __init__(self, folder):
        self.path = Path(folder) / "model.safetensors"
        with open(self.path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            self.header = json.loads(file.read(length))
        self.start = 8 + length
        self.bytes = np.memmap(self.path, mode="r", dtype=np.uint8)

    def __call__(self, name):
        entry = self.header[name]
        assert entry["dtype"] == "BF16"
        first, end = entry["data_offsets"]
        half = self.bytes[self.start + first : self.start + end].view(np.uint16)
        return (half.astype(np.uint32) << 16).view(F).reshape(entry["shape"])

    def linear(self, name, x):
        y = x @ self(f"{name}.weight").T
        return y + self(f"{name}.bias") if f"{name}.bias" in self.header else y


def picture():
    """v(x, y, c) = (3x² + 7y + 11xy + 50c) mod 256, as in test/support/pixels.ts."""
    y, x, c = np.meshgrid(np.arange(SIDE), np.arange(SIDE), np.arange(3), indexing="ij")
    return ((3 * x * x + 7 * y + 11 * x * y + 50 * c) % 256).astype(np.uint8)


def layer_norm(x, weight, bias, eps):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + F(eps)) * weight + bias


def rms_norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + F(eps)) * weight


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def gelu_tanh(x):
    return F(0.5) * x * (1 + np.tanh(F(math.sqrt(2 / math.pi)) * (x + F(0.044715) * x * x * x)))


def gelu(x):
    erf = np.vectorize(math.erf, otypes=[np.float64])
    return (0.5 * x * (1 + erf(x / math.sqrt(2)))).astype(F)


def vision(w, config, pixels):
    """pixels [S, S, 3] bytes -> [P, D] of one tile."""
    v = config["vision_config"]
    patch, heads, width = v["patch_size"], v["num_attention_heads"], v["hidden_size"]
    cells = v["image_size"] // patch
    at = "vision_tower.vision_model"
    x = ((pixels.astype(F) * F(1 / 255)) - F(0.5)) / F(0.5)
    x = x[: cells * patch, : cells * patch].reshape(cells, patch, cells, patch, 3)
    x = x.transpose(0, 2, 4, 1, 3).reshape(cells * cells, 3 * patch * patch)
    kernel = w(f"{at}.embeddings.patch_embedding.weight").reshape(width, -1)
    x = x @ kernel.T + w(f"{at}.embeddings.patch_embedding.bias") + w(f"{at}.embeddings.position_embedding.weight")
    eps = v.get("layer_norm_eps", 1e-6)
    for i in range(v["num_hidden_layers"]):
        layer = f"{at}.encoder.layers.{i}"
        h = layer_norm(x, w(f"{layer}.layer_norm1.weight"), w(f"{layer}.layer_norm1.bias"), eps)
        q, k, val = (
            w.linear(f"{layer}.self_attn.{p}_proj", h).reshape(-1, heads, width // heads).transpose(1, 0, 2) for p in "qkv"
        )
        scores = softmax(q @ k.transpose(0, 2, 1) * F(1 / math.sqrt(width // heads)))
        x = x + w.linear(f"{layer}.self_attn.out_proj", (scores @ val).transpose(1, 0, 2).reshape(-1, width))
        h = layer_norm(x, w(f"{layer}.layer_norm2.weight"), w(f"{layer}.layer_norm2.bias"), eps)
        x = x + w.linear(f"{layer}.mlp.fc2", gelu_tanh(w.linear(f"{layer}.mlp.fc1", h)))
    return x


def decoder(w, config, x):
    """x [T, D] -> logits [V] of the last row."""
    t = config["text_config"]
    heads, shared, width = t["num_attention_heads"], t["num_key_value_heads"], t["hidden_size"]
    size, rows, eps = width // heads, len(x), t["rms_norm_eps"]
    inverse = F(1) / (F(t["rope_theta"]) ** (np.arange(0, size, 2, dtype=F) / F(size)))
    angles = np.arange(rows, dtype=F)[:, None] * inverse[None]
    cos, sin = (np.concatenate([f(angles)] * 2, -1) for f in (np.cos, np.sin))
    rotate = lambda h: h * cos + np.concatenate([-h[..., size // 2 :], h[..., : size // 2]], -1) * sin
    mask = np.where(np.tri(rows, dtype=bool), F(0), F(-np.inf))
    at = "language_model.model"
    for i in range(t["num_hidden_layers"]):
        layer = f"{at}.layers.{i}"
        h = rms_norm(x, w(f"{layer}.input_layernorm.weight"), eps)
        split = lambda p, n: w.linear(f"{layer}.self_attn.{p}_proj", h).reshape(rows, n, size).transpose(1, 0, 2)
        q, k, v = rotate(split("q", heads)), rotate(split("k", shared)), split("v", shared)
        out = [
            softmax(q[j] @ k[j * shared // heads].T * F(1 / math.sqrt(size)) + mask) @ v[j * shared // heads] for j in range(heads)
        ]
        x = x + w.linear(f"{layer}.self_attn.o_proj", np.concatenate(out, -1))
        h = rms_norm(x, w(f"{layer}.post_attention_layernorm.weight"), eps)
        gate = w.linear(f"{layer}.mlp.gate_proj", h)
        x = x + w.linear(f"{layer}.mlp.down_proj", gate / (1 + np.exp(-gate)) * w.linear(f"{layer}.mlp.up_proj", h))
    last = rms_norm(x[-1:], w(f"{at}.norm.weight"), eps)
    return (last @ w(f"{at}.embed_tokens.weight").T)[0]


def main():
    folder, out = sys.argv[1:]
    started = time.time()
    w = Checkpoint(folder)
    config = json.loads((Path(folder) / "config.json").read_text())
    # A picture of one tile's size: the base tile and the one of its 1 x 1 grid are the same pixels.
    seen = vision(w, config, picture())
    hidden = w.linear("multi_modal_projector.linear_2", gelu(w.linear("multi_modal_projector.linear_1", seen)))
    cells, width = int(math.sqrt(len(hidden))), hidden.shape[1]
    newline = np.broadcast_to(w("image_newline"), (cells, 1, width))
    grid = np.concatenate([hidden.reshape(cells, cells, width), newline], 1).reshape(-1, width)
    table = w("language_model.model.embed_tokens.weight")
    x = np.concatenate([table[BEFORE], hidden, grid, table[AFTER]])
    print(f"{len(x)} rows, vision {time.time() - started:.0f} s", flush=True)
    logits = decoder(w, config, x)
    assert np.isfinite(logits).all()
    digest = hashlib.sha256()
    with open(w.path, "rb") as file:
        while piece := file.read(1 << 24):
            digest.update(piece)
    ids = sorted({*np.argsort(-logits)[:BEST].tolist(), *range(0, len(logits), STEP)})
    result = {
        "made_by": f"scripts/reference_geometry.py, NumPy {np.__version__}, float32",
        "checkpoint": "node scripts/make-checkpoint.mjs FOLDER --size 0.5b",
        "model_sha256": digest.hexdigest(),
        "question": QUESTION,
        "before": BEFORE,
        "visual_tokens": 2 * cells * cells + cells,
        "after": AFTER,
        "largest_magnitude": float(np.abs(logits).max()),
        "ids": ids,
        "logits": [float(f"{logits[i]:.8g}") for i in ids],
    }
    Path(out).write_text(json.dumps(result, separators=(",", ":")) + "\n")
    print(f"logits to {logits.max():.4f}, token {int(logits.argmax())}, {time.time() - started:.0f} s")


main()
