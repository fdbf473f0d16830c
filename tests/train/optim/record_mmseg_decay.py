"""Records the weight decay of every parameter of MMSegmentation's UPerNet on Swin-S, for machines without torch.

Run it where MMSegmentation can be imported, as tests/heads/record_upernet_mmseg.py says:
  python -m tests.train.optim.record_mmseg_decay
It builds the optimizer of upernet_swin_small_patch4_window7_512x512_160k_ade20k_pretrain_224x224_1K and writes
mmseg_decay.json: the names of the parameters with a decay and of those without.
"""

import json
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

import torch

from tests.torchvision_operators import load_torchvision

load_torchvision()


class _Operators(types.ModuleType):
    """Stands in for mmcv's compiled operators, none of which this model calls."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return object()


_STAND_IN = _Operators("mmcv._ext")
_STAND_IN.__spec__ = ModuleSpec("mmcv._ext", None)
sys.modules["mmcv._ext"] = _STAND_IN

from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

init_default_scope("mmseg")

import mmseg.models  # noqa: F401  (registers the models)
from mmseg.registry import MODELS

_WIDTHS = [96, 192, 384, 768]
_SHARED = {"num_classes": 150, "norm_cfg": {"type": "BN", "requires_grad": True}, "align_corners": False}
_WRAPPER = {
    "type": "OptimWrapper",
    "optimizer": {"type": "AdamW", "lr": 6e-5, "betas": (0.9, 0.999), "weight_decay": 0.01},
    "paramwise_cfg": {
        "custom_keys": {
            "absolute_pos_embed": {"decay_mult": 0.0},
            "relative_position_bias_table": {"decay_mult": 0.0},
            "norm": {"decay_mult": 0.0},
        }
    },
}


def model() -> torch.nn.Module:
    """The model of the config, with random weights."""
    return MODELS.build(
        {
            "type": "EncoderDecoder",
            "backbone": {
                "type": "SwinTransformer",
                "embed_dims": 96,
                "depths": [2, 2, 18, 2],
                "num_heads": [3, 6, 12, 24],
                "window_size": 7,
            },
            "decode_head": {
                "type": "UPerHead",
                "in_channels": _WIDTHS,
                "in_index": [0, 1, 2, 3],
                "pool_scales": (1, 2, 3, 6),
                "channels": 512,
                **_SHARED,
            },
            "auxiliary_head": {
                "type": "FCNHead",
                "in_channels": 384,
                "in_index": 2,
                "channels": 256,
                "num_convs": 1,
                "concat_input": False,
                **_SHARED,
            },
            "train_cfg": {},
            "test_cfg": {"mode": "whole"},
        }
    )


def main() -> None:
    """Writes the record."""
    built = model()
    names = {id(parameter): name for name, parameter in built.named_parameters()}
    groups = build_optim_wrapper(built, _WRAPPER).optimizer.param_groups
    decay = {names[id(parameter)]: group["weight_decay"] for group in groups for parameter in group["params"]}
    assert decay.keys() == set(names.values()) and set(decay.values()) == {0.0, 0.01}
    found = {
        group: sorted(name for name, rate in decay.items() if (rate > 0) == is_decayed)
        for group, is_decayed in (("decayed", True), ("undecayed", False))
    }
    Path(__file__).with_name("mmseg_decay.json").write_text(json.dumps(found, indent=0) + "\n")


if __name__ == "__main__":
    main()
