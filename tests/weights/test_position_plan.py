"""Positions of a file become those that timm makes of them, on a grid with as many patches too."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gauss_vit.models.construct import abstract
from gauss_vit.models.presets import PRESETS
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.position import Position
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.weights.names.name_tables import timm_rules
from gauss_vit.weights.names.naming import Expected, expected
from gauss_vit.weights.position_plan import plan_positions
from tests.models import deterministic
from tests.networks import classifier

RECORDED = np.load(Path(__file__).with_name("positions_reference.npz"))
CASES = sorted({name.rpartition("x")[0].partition(".")[0] + "." + name.split(".")[1] for name in RECORDED.files})
SMALL = {"width": 8, "depth": 1, "num_heads": 2}
SOURCES = {
    "vit": dataclasses.replace(PRESETS["vit_small_patch16_224"], **SMALL),
    "deit3": dataclasses.replace(PRESETS["deit3_small_patch16_224"], **SMALL),
    "beit": dataclasses.replace(PRESETS["beit_base_patch16_224"], **SMALL),
    "relative": dataclasses.replace(
        PRESETS["vit_relpos_small_patch16_224"], **SMALL, position=Position(terms=(RelativeTable(),))
    ),
    "swin": dataclasses.replace(
        PRESETS["swin_tiny_patch4_window7_224"],
        width=8,
        depths=(1, 1),
        num_heads=(2, 2),
        position=Position(terms=(RelativeTable(),)),
    ),
}


def target_of(case: str):
    """The model that the file of a case is for."""
    name, _, size = case.partition(".")
    sides = tuple(int(side) for side in size.split("x"))
    return dataclasses.replace(SOURCES[name], **{"window" if name == "swin" else "image_size": sides})


def wanted_by(config):
    return expected(timm_rules(classifier(config)), abstract(classifier(config))[1])


@pytest.mark.parametrize("case", CASES)
def test_a_file_that_does_not_state_its_grid_is_resampled_as_by_timm(case: str):
    given, target = wanted_by(SOURCES[case.partition(".")[0]]), target_of(case)
    shapes = {name: each.shape for name, each in given.items()}
    plan = plan_positions(shapes, wanted_by(target), target, stated={}, source_grid=None)
    recorded = {name.removeprefix(f"{case}."): RECORDED[name] for name in RECORDED.files if name.startswith(f"{case}.")}
    assert plan.regrids.keys() == recorded.keys()
    assert not plan.unknown
    for name, values in recorded.items():
        moved = plan.regrids[name](deterministic.tensor(name, shapes[name]))
        # timm interpolates in float32; tables also between distances that it rounds to float32.
        np.testing.assert_allclose(moved, values, atol=2e-6 if name == "pos_embed" else 2e-5)


@pytest.mark.parametrize("case", [case for case in CASES if case != "swin.2x7"])
def test_a_file_that_states_the_models_grid_is_taken_as_it_is(case: str):
    target = target_of(case)
    wanted = wanted_by(target)
    stated = {name: target.stages()[0].window for name in wanted}
    shapes = {name: each.shape for name, each in wanted.items()}
    plan = plan_positions(shapes, wanted, target, stated=stated, source_grid=None)
    assert (plan.regrids, plan.unknown, plan.remarks) == ({}, (), ())


def test_tables_of_as_many_offsets_are_told_apart():
    # 5 x 5 offsets are of a grid of 3 x 3; 1 x 25 of one of 1 x 13.
    config = dataclasses.replace(SOURCES["relative"], image_size=(16, 208))
    wanted = wanted_by(config)
    (name,) = [name for name in wanted if name.endswith("bias_table")]
    assert wanted[name].shape == (25, 2)
    shapes = {name: (25, 2)}
    plan = plan_positions(shapes, wanted, config, stated={}, source_grid=None)
    assert (plan.regrids[name].source, plan.regrids[name].target) == ((3, 3), (1, 13))
    assert plan.remarks[0].startswith("positions are taken to be of 3 x 3 patches")
    assert plan_positions(shapes, wanted, config, stated={name: (1, 13)}, source_grid=None).regrids == {}
    assert plan_positions(shapes, wanted, config, stated={}, source_grid=(1, 13)).regrids == {}


@pytest.mark.parametrize("source", ["vit", "relative"])
def test_a_named_grid_that_nothing_has_is_unknown(source: str):
    wanted = wanted_by(SOURCES[source])
    shapes = {name: each.shape for name, each in wanted.items()}
    plan = plan_positions(shapes, wanted, SOURCES[source], stated={}, source_grid=(7, 27))
    held = "196 patches" if source == "vit" else "729 offsets"
    assert plan.unknown == (f"source_grid is 7 x 27 patches, which the file does not have: it has {held}",)


def test_what_the_named_grid_does_not_apply_to_is_still_assumed_to_be_square():
    config = dataclasses.replace(
        SOURCES["vit"],
        image_size=(16, 208),
        position=Position(terms=(RelativeTable(),), absolute=AbsoluteEmbedding(embeds_prefix=False)),
        class_token=False,
        pool="mean",
    )
    wanted = {
        "embedding": Expected(shape=(1, 13, 8), path="backbone.position_embed"),
        "table": Expected(shape=(25, 2), path="backbone.blocks.attention.bias.relative.table"),
    }
    shapes = {"embedding": (1, 14, 8), "table": (25, 2)}
    plan = plan_positions(shapes, wanted, config, stated={}, source_grid=(2, 7))
    assert {name: regrid.source for name, regrid in plan.regrids.items()} == {"embedding": (2, 7), "table": (3, 3)}
    assert len(plan.remarks) == 1 and plan.remarks[0].startswith("positions are taken to be of 3 x 3 patches")


def test_a_contradiction_is_unknown():
    config = SOURCES["vit"]
    wanted = wanted_by(config)
    shapes = {"pos_embed": wanted["pos_embed"].shape}
    plan = plan_positions(shapes, wanted, config, stated={"pos_embed": (3, 3)}, source_grid=None)
    assert plan.unknown == ("pos_embed has 196 patches, which is not what its stated grid of 3 x 3 patches has",)
