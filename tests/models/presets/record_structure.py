"""Records the names and shapes of the parameters of timm's models, for machines without torch.

Run it where torch, torchvision and timm are installed, with the names of our presets:
  python -m tests.models.presets.record_structure NAME ...
It writes tests/models/presets/timm_structure.json, a digest for every name. `--show NAME ...` writes nothing and prints
what the digests are of. Models are built on torch's meta device, which holds no numbers.
"""

import json
import re
import sys

import torch

from tests.torchvision_operators import load_torchvision

load_torchvision()

import timm

from tests.models.presets.structure import RECORD, digest, summary

# Computed from the config or counted; `gauss_vit.weights.safetensors_file.BUFFERS` names the same.
BUFFERS = r".*\.(relative_position_index|relative_coords_table|attn_mask|num_batches_tracked)"


def shapes_of(name: str) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every tensor of a model's checkpoint by its name, without buffers that nobody trains."""
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=1000)
    return {key: tuple(each.shape) for key, each in model.state_dict().items() if not re.fullmatch(BUFFERS, key)}


def main() -> None:
    """Records the models that are named, or shows them."""
    if sys.argv[1:2] == ["--show"]:
        for name in sys.argv[2:]:
            sys.stdout.write(f"{name}\n{summary(shapes_of(name))}\n")
        return
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    recorded |= {name: digest(shapes_of(name)) for name in sys.argv[1:]}
    RECORD.write_text(json.dumps(dict(sorted(recorded.items())), indent=2) + "\n")


if __name__ == "__main__":
    main()
