"""The embedded checkpoint's model in PyTorch, with the published names of the weights, for its training alone."""
import math

import torch
import torch.nn.functional as F

SIDE, PATCH, CELLS, POOLED = 126, 14, 9, 5  # a tile, a patch; cells of a tile and of a pooled frame along one side
VISION = dict(width=216, mlp=648, layers=4, heads=3)
LANGUAGE = dict(width=256, mlp=640, layers=4, heads=4, kv_heads=2, head=64, vocabulary=640)
LOOKUP_HEAD, READ_HEADS, TWIN_HEAD = (2, 3), ((3, 1), (3, 3)), (1, 1)  # layer and head of the decoder, see attention_loss
SPOTS = (3, 9)  # classes of a visual token: image, place
LABELS = (9, 5, 11)  # classes of what covers a cell: colour, shape, digit; 0 is nothing
V, L = "vision_tower.vision_model.", "language_model.model."


def initial():
    """Random weights. `cells.*` predict the labels of the cells and are not published."""
    p, width, size = {}, VISION["width"], LANGUAGE["width"]

    def linear(name, outputs, inputs, scale=1.0, bias=True):
        p[name + ".weight"] = torch.randn(outputs, inputs) * scale / math.sqrt(inputs)
        if bias:
            p[name + ".bias"] = torch.zeros(outputs)

    def layer_norm(name):
        p[name + ".weight"], p[name + ".bias"] = torch.ones(width), torch.zeros(width)

    p[V + "embeddings.patch_embedding.weight"] = torch.randn(width, 3, PATCH, PATCH) / math.sqrt(3 * PATCH * PATCH)
    p[V + "embeddings.patch_embedding.bias"] = torch.zeros(width)
    p[V + "embeddings.position_embedding.weight"] = torch.randn(CELLS * CELLS, width) * 0.3
    for i in range(VISION["layers"]):
        block = f"{V}encoder.layers.{i}."
        for c in "qkv":
            linear(f"{block}self_attn.{c}_proj", width, width)
        linear(block + "self_attn.out_proj", width, width, 0.3)
        linear(block + "mlp.fc1", VISION["mlp"], width)
        linear(block + "mlp.fc2", width, VISION["mlp"], 0.3)
        layer_norm(block + "layer_norm1")
        layer_norm(block + "layer_norm2")
    layer_norm(V + "post_layernorm")  # published, not used by LLaVA
    linear("multi_modal_projector.linear_1", size, width, 0.3)
    linear("multi_modal_projector.linear_2", size, size, 0.5)
    p["image_newline"] = torch.randn(size) * 0.05
    p[L + "embed_tokens.weight"] = torch.randn(LANGUAGE["vocabulary"], size) * 0.05
    for i in range(LANGUAGE["layers"]):
        block = f"{L}layers.{i}."
        for c, heads in (("q", LANGUAGE["heads"]), ("k", LANGUAGE["kv_heads"]), ("v", LANGUAGE["kv_heads"])):
            linear(f"{block}self_attn.{c}_proj", heads * LANGUAGE["head"], size)
        linear(block + "self_attn.o_proj", size, LANGUAGE["heads"] * LANGUAGE["head"], 0.3, bias=False)
        linear(block + "mlp.gate_proj", LANGUAGE["mlp"], size, bias=False)
        linear(block + "mlp.up_proj", LANGUAGE["mlp"], size, bias=False)
        linear(block + "mlp.down_proj", size, LANGUAGE["mlp"], 0.3, bias=False)
        p[block + "input_layernorm.weight"] = torch.ones(size)
        p[block + "post_attention_layernorm.weight"] = torch.ones(size)
    p[L + "norm.weight"] = torch.ones(size)
    linear("cells", sum(LABELS), width, 0.3)
    linear("cells.spot", sum(SPOTS), size, 0.3)
    return {name: torch.nn.Parameter(value) for name, value in p.items()}


def attend(q, k, v, mask=None):
    scores = q @ (k * q.shape[-1] ** -0.5).transpose(-1, -2)
    weights = (scores if mask is None else scores + mask).softmax(-1)
    return weights @ v, weights


def vision(p, tiles):
    """Tiles [N, 3, 126, 126] to features [N, 81, width]."""
    n, width, heads = tiles.shape[0], VISION["width"], VISION["heads"]
    patches = F.conv2d(tiles, p[V + "embeddings.patch_embedding.weight"], p[V + "embeddings.patch_embedding.bias"], stride=PATCH)
    x = patches.flatten(2).transpose(1, 2) + p[V + "embeddings.position_embedding.weight"]
    for i in range(VISION["layers"]):
        block = f"{V}encoder.layers.{i}."

        def linear(name, y):
            return F.linear(y, p[block + name + ".weight"], p[block + name + ".bias"])

        def norm(name):
            return F.layer_norm(x, (width,), p[block + name + ".weight"], p[block + name + ".bias"], 1e-6)

        y = norm("layer_norm1")
        q, k, v = (linear(f"self_attn.{c}_proj", y).view(n, -1, heads, width // heads).transpose(1, 2) for c in "qkv")
        x = x + linear("self_attn.out_proj", attend(q, k, v)[0].transpose(1, 2).reshape(n, -1, width))
        x = x + linear("mlp.fc2", F.gelu(linear("mlp.fc1", norm("layer_norm2")), approximate="tanh"))
    return x


def project(p, features):
    hidden = F.linear(features, p["multi_modal_projector.linear_1.weight"], p["multi_modal_projector.linear_1.bias"])
    return F.linear(F.gelu(hidden), p["multi_modal_projector.linear_2.weight"], p["multi_modal_projector.linear_2.bias"])


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def language(p, x, positions, mask, seen=None):
    """Embeddings [B, T, size] to hidden states; `mask` [B, 1, T, T] says which positions see which. `seen` gets what `losses` needs besides."""
    batch, length, size = x.shape
    heads, kv_heads, head = LANGUAGE["heads"], LANGUAGE["kv_heads"], LANGUAGE["head"]
    away = torch.zeros(mask.shape, dtype=x.dtype).masked_fill(~mask, -1e4)
    angles = positions[..., None].float() / (1e6 ** (torch.arange(0, head, 2).float() / head))
    cos, sin = angles.cos()[:, None].to(x.dtype), angles.sin()[:, None].to(x.dtype)

    def norm(name):
        return F.rms_norm(x, (size,), p[name].to(x.dtype), 1e-6)

    for i in range(LANGUAGE["layers"]):
        block = f"{L}layers.{i}."

        def linear(name, y):
            return F.linear(y, p[block + name + ".weight"], p.get(block + name + ".bias"))

        if seen is not None and i == LOOKUP_HEAD[0]:
            seen["hidden"] = x
        y = norm(block + "input_layernorm.weight")
        q = rotate(linear("self_attn.q_proj", y).view(batch, length, heads, head).transpose(1, 2), cos, sin)
        k = rotate(linear("self_attn.k_proj", y).view(batch, length, kv_heads, head).transpose(1, 2), cos, sin)
        v = linear("self_attn.v_proj", y).view(batch, length, kv_heads, head).transpose(1, 2)
        k, v = (t.repeat_interleave(heads // kv_heads, 1) for t in (k, v))
        attended, weights = attend(q, k, v, away)
        if seen is not None:
            seen["weights"].append(weights)
        x = x + linear("self_attn.o_proj", attended.transpose(1, 2).reshape(batch, length, -1))
        y = norm(block + "post_attention_layernorm.weight")
        x = x + linear("mlp.down_proj", F.silu(linear("mlp.gate_proj", y)) * linear("mlp.up_proj", y))
    return norm(L + "norm.weight")


def noisy(x):
    """Noise as of video codecs and JPEG, in 40 % of the tiles."""
    amount = torch.rand(len(x), 1, 1, 1) * 0.12 * (torch.rand(len(x), 1, 1, 1) < 0.4)
    coarse = F.interpolate(torch.randn(len(x), 3, SIDE // 2, SIDE // 2), scale_factor=2)
    return x + amount * 0.7 * (coarse + torch.randn_like(x))


def losses(parameters, batch, dtype=torch.bfloat16):
    """For each supervised token the loss, whether it was the largest logit, and where it is; the losses of the cells' labels and of lookups."""
    p = {name: value.to(dtype) for name, value in parameters.items()}
    x = F.embedding(batch["ids"], p[L + "embed_tokens.weight"])
    cells = torch.zeros(())
    if batch["tiles"] is not None:
        tiles = (batch["tiles"].permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        features = vision(p, noisy(tiles).to(dtype))
        cells = cell_loss(p, features, batch["labels"])
        visual = project(p, features)
        rows = torch.cat([visual.flatten(0, 1), p["image_newline"][None]])
        here = batch["rows"] >= 0
        x = x.masked_scatter(here[..., None], rows[batch["rows"][here]])
        here = batch["pooled"] >= 0
        if here.any():
            grid = visual.unflatten(1, (CELLS, CELLS)).permute(0, 3, 1, 2).float()
            frames = F.interpolate(grid, size=(POOLED, POOLED), mode="bilinear").permute(0, 2, 3, 1).flatten(0, 2)
            x = x.masked_scatter(here[..., None], frames.to(dtype)[batch["pooled"][here]])
    seen = {"weights": []}
    hidden = language(p, x, batch["positions"], batch["mask"], seen)
    next_ids = F.pad(batch["targets"], (0, 1), value=-100)[:, 1:]
    where = next_ids != -100
    logits = F.linear(hidden[where], p[L + "embed_tokens.weight"]).float()
    lookups = attention_loss(seen["weights"], batch) + spot_loss(p, seen["hidden"], batch["spots"])
    loss = F.cross_entropy(logits, next_ids[where], reduction="none")
    return loss, logits.argmax(-1) == next_ids[where], where, cells, lookups


def attention_loss(seen, batch):
    """How far some heads of the decoder are from what they should look at.

    A question's words look at what they refer to, and the tokens of its answer at these words; those of a second picture at the same place in the
    first, and the tokens of an answer about changes at what has changed.
    """
    loss = torch.zeros(())

    def add(head, sample, token, source):
        nonlocal loss
        if len(sample) > 0:
            weights = seen[head[0]][sample, head[1], token].float()
            share = weights.gather(1, source[:, None]) if source.ndim == 1 else (weights * source).sum(-1)
            loss = loss - (share + 1e-9).log().mean()

    add(LOOKUP_HEAD, *batch["lookers"].T, batch["sources"])
    sample, token, first, last = batch["readers"].T
    add(READ_HEADS[0], sample, token, first)
    add(READ_HEADS[1], sample, token, last)
    add(TWIN_HEAD, *batch["twins"].T)
    return loss


def spot_loss(p, hidden, spots):
    """Loss of the image and the place of visual tokens, predicted from what the looking head sees of them."""
    if len(spots) == 0:
        return torch.zeros(())
    sample, token, image, place = spots.T
    at = hidden[sample, token]
    logits = F.linear(F.rms_norm(at, at.shape[-1:]), p["cells.spot.weight"], p["cells.spot.bias"]).float()
    images, places = logits.split(SPOTS, -1)
    return F.cross_entropy(images, image) + F.cross_entropy(places, place)


def cell_loss(p, features, labels):
    logits = F.linear(features, p["cells.weight"], p["cells.bias"]).float().split(LABELS, -1)
    loss = torch.zeros(())
    for k, of_kind in enumerate(logits):
        wanted, of_kind = labels[..., k].flatten(), of_kind.flatten(0, 1)
        covered = wanted > 0
        loss = loss + 0.5 * F.cross_entropy(of_kind, wanted)
        if covered.any():
            loss = loss + F.cross_entropy(of_kind[covered], wanted[covered])
    return loss
