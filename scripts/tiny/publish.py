"""Writes the weights of a state of teach.py as the embedded checkpoint: python scripts/tiny/publish.py STATE [FOLDER] [--last]

They are halfway between the last weights and their average (EMA), or with --last the last ones. STATE may be a model.safetensors that finish.mjs wrote.
"""
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from model import VISION

given = [arg for arg in sys.argv[1:] if arg != "--last"]
folder = Path(given[1]) if len(given) > 1 else Path(__file__).parent / "../../models/tiny"
if given[0].endswith(".safetensors"):
    weights = load_file(given[0])
else:
    state = torch.load(given[0])
    weights = state["p"] if "--last" in sys.argv else {name: (w + state["ema"][name]) / 2 for name, w in state["p"].items()}
published = {name: w.half().contiguous() for name, w in weights.items() if not name.startswith("cells.")}
save_file(published, folder / "model.safetensors", {"format": "pt"})
config = json.loads((folder / "config.json").read_text())
sizes = dict(hidden_size="width", intermediate_size="mlp", num_hidden_layers="layers", num_attention_heads="heads")
config["vision_config"].update({name: VISION[size] for name, size in sizes.items()})
(folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
print(f"{sum(w.numel() for w in published.values()):,} parameters, {(folder / 'model.safetensors').stat().st_size:,} bytes")
