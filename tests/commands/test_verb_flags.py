"""Flags: every verb declares its own, with defaults that its module can work with."""

from collections.abc import Callable

import pytest
from absl import flags

from gauss_vit.commands import verb_flags

MODEL = {
    "workdir": None,
    "model": None,
    "gaussian": False,
    "weights": None,
    "head": "file",
    "source_grid": None,
}
DEFAULTS = {
    verb_flags.define_train: {"workdir": None},
    verb_flags.define_evaluate: {
        "workdir": None,
        "ema": False,
        "best": False,
        "subset": None,
        "image_sizes": None,
        "crop": None,
    },
    verb_flags.define_data: {"from": None, "name": None, "data_dir": None, "size": None, "labels": None},
    verb_flags.define_probe: {"workdir": None, "ema": False, "neighbours": 20, "shots": 10, "penalty": 1024.0},
    verb_flags.define_show: {"mesh": None},
    verb_flags.define_position: MODEL | {"out": None, "token": "center", "images": None, "max_images": None},
    verb_flags.define_convert: MODEL | {"to": None, "out": None},
    verb_flags.define_erf: MODEL
    | {
        "images": None,
        "out": None,
        "max_images": None,
        "batch_size": 64,
        "token": "center",
        "layer": "last",
        "protocol": "bmvc2023",
        "dtype": "float32",
        "fit": "free",
        "bands": True,
        "save_every": 2,
        "intervention": "none",
        "seed": 0,
    },
    verb_flags.define_compare: {"out": None},
}


def declared(define: Callable[[flags.FlagValues], None], *arguments: str) -> dict[str, object]:
    flag_values = flags.FlagValues()
    define(flag_values)
    names = list(flag_values)
    flag_values(["program", *arguments])
    return {name: flag_values[name].value for name in names}


@pytest.mark.parametrize("define", DEFAULTS, ids=lambda define: define.__name__)
def test_flags_and_their_defaults(define: Callable[[flags.FlagValues], None]):
    assert declared(define) == DEFAULTS[define]


def test_every_flag_explains_itself():
    for define in DEFAULTS:
        flag_values = flags.FlagValues()
        define(flag_values)
        assert all(flag_values[name].help for name in flag_values)


@pytest.mark.parametrize("argument", ["--max_images=0", "--batch_size=0", "--max_images=x"])
def test_counts_are_at_least_one(argument: str):
    with pytest.raises(flags.IllegalFlagValueError):
        declared(verb_flags.define_erf, argument)
