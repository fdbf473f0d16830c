"""Records what MMSegmentation's UPerNet on Swin computes on deterministic weights, for machines without torch.

Run it where `tests.heads.mmseg_models` can be imported:  python -m tests.heads.record_upernet_mmseg [CASE ...]
It writes tests/heads/upernet_mmseg_reference.npz: for every case the names and shapes of the tensors of the model, and
the quantities of `tests.heads.upernet_torch`. The gradient is that of MMSegmentation's loss, the mean over all pixels.
"""

from pathlib import Path

import numpy as np
import torch
from mmengine.structures import PixelData

from tests.heads.mmseg_models import MODELS, SegDataSample
from tests.heads.upernet_cases import AUXILIARY_WEIGHT, Case
from tests.heads.upernet_torch import Outputs, deterministic_state, record, reference

REFERENCE = Path(__file__).with_name("upernet_mmseg_reference.npz")


def model_of(case: Case) -> torch.nn.Module:
    """The model with deterministic weights by its own names."""
    shared = {
        "num_classes": case.num_classes,
        "dropout_ratio": 0.0,
        "norm_cfg": {"type": "BN", "requires_grad": True},
        "align_corners": False,
    }
    widths = [case.width * 2**index for index in range(4)]
    model = MODELS.build(
        {
            "type": "EncoderDecoder",
            "data_preprocessor": {"type": "SegDataPreProcessor"},
            "backbone": {
                "type": "SwinTransformer",
                "embed_dims": case.width,
                "depths": case.depths,
                "num_heads": case.num_heads,
                "window_size": case.window,
                "drop_path_rate": 0.0,
            },
            "decode_head": {
                "type": "UPerHead",
                "in_channels": widths,
                "in_index": [0, 1, 2, 3],
                "pool_scales": (1, 2, 3, 6),
                "channels": case.channels,
                "loss_decode": {"type": "CrossEntropyLoss", "loss_weight": 1.0},
                **shared,
            },
            "auxiliary_head": {
                "type": "FCNHead",
                "in_channels": widths[2],
                "in_index": 2,
                "channels": case.auxiliary_channels,
                "num_convs": 1,
                "concat_input": False,
                "loss_decode": {"type": "CrossEntropyLoss", "loss_weight": AUXILIARY_WEIGHT},
                **shared,
            },
            "train_cfg": {},
            "test_cfg": {"mode": "whole"},
        }
    )
    model.load_state_dict(deterministic_state(model.state_dict()), strict=True)
    return model


def run_of(model: torch.nn.Module):
    """The function that computes the outputs."""

    def run(images: torch.Tensor, labels: torch.Tensor) -> Outputs:
        maps = model.extract_feat(images)
        logits, auxiliary = model.decode_head(maps), model.auxiliary_head(maps)
        samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
        losses = [
            head.loss_by_feat(outputs, samples)["loss_ce"]
            for head, outputs in ((model.decode_head, logits), (model.auxiliary_head, auxiliary))
        ]
        return Outputs(maps=maps, logits=logits, auxiliary=auxiliary, loss=sum(losses))

    return run


def reference_of(case: Case) -> dict[str, np.ndarray]:
    """Everything that is recorded of a case, by name."""
    model = model_of(case)
    return reference(model, model.state_dict(), run_of(model), case)


if __name__ == "__main__":
    record(REFERENCE, reference_of)
