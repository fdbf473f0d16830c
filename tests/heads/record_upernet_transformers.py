"""Records what transformers' UPerNet on Swin computes on deterministic weights, for machines without torch.

Run it where torch, torchvision and transformers are installed:
  python -m tests.heads.record_upernet_transformers [CASE ...]
It writes tests/heads/upernet_transformers_reference.npz: for every case the names and shapes of the tensors in the file
that transformers writes, and the quantities of `tests.heads.upernet_torch`. The gradient is that of transformers' loss,
the mean over the pixels that are not ignored.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch

from tests.torchvision_operators import load_torchvision

load_torchvision()

from safetensors.torch import load_file, save_file
from transformers import SwinConfig, UperNetConfig, UperNetForSemanticSegmentation

from tests.heads.upernet_cases import Case
from tests.heads.upernet_torch import Outputs, deterministic_state, record, reference

REFERENCE = Path(__file__).with_name("upernet_transformers_reference.npz")
_NO_DROPOUT = {"drop_path_rate": 0.0, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def model_of(case: Case, folder: Path) -> tuple[UperNetForSemanticSegmentation, dict[str, torch.Tensor]]:
    """The model with deterministic weights by the names of its file, and the tensors of that file."""
    swin = SwinConfig(
        embed_dim=case.width,
        depths=list(case.depths),
        num_heads=list(case.num_heads),
        window_size=case.window,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        **_NO_DROPOUT,
    )
    config = UperNetConfig(
        backbone_config=swin,
        hidden_size=case.channels,
        auxiliary_channels=case.auxiliary_channels,
        auxiliary_in_channels=4 * case.width,
        num_labels=case.num_classes,
    )
    UperNetForSemanticSegmentation(config).save_pretrained(folder)
    path = folder / "model.safetensors"
    state = deterministic_state(load_file(path))
    save_file(state, path, metadata={"format": "pt"})
    model, found = UperNetForSemanticSegmentation.from_pretrained(folder, output_loading_info=True)
    assert not (found["missing_keys"] or found["unexpected_keys"] or found["mismatched_keys"]), found
    return model, state


def run_of(model: UperNetForSemanticSegmentation):
    """The function that computes the outputs; the maps and the logits at low resolution are seen by hooks."""
    kept = {}
    model.backbone.register_forward_hook(lambda _, __, outputs: kept.update(maps=outputs.feature_maps))
    model.decode_head.register_forward_hook(lambda _, __, outputs: kept.update(logits=outputs))
    model.auxiliary_head.register_forward_hook(lambda _, __, outputs: kept.update(auxiliary=outputs))

    def run(images: torch.Tensor, labels: torch.Tensor) -> Outputs:
        loss = model(pixel_values=images, labels=labels).loss
        return Outputs(**kept, loss=loss)

    return run


def reference_of(case: Case) -> dict[str, np.ndarray]:
    """Everything that is recorded of a case, by name."""
    with tempfile.TemporaryDirectory() as folder:
        model, state = model_of(case, Path(folder))
    return reference(model, state, run_of(model), case)


if __name__ == "__main__":
    record(REFERENCE, reference_of)
