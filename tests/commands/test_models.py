"""`models`: every preset is listed once, with the sizes that timm gives."""

import pytest

from gauss_vit import main as program
from gauss_vit.commands import models
from gauss_vit.models.presets import PRESETS

# Parameters of timm 1.0.31's models, with their classifier of 1,000 classes.
TIMM = {
    "vit_small_patch16_224": ("224x224", "16x16", "12", "384", "22,050,664", "absolute"),
    "vit_relpos_small_patch16_224": ("224x224", "16x16", "12", "384", "21,983,920", "relative_mlp"),
    "eva02_small_patch14_224": ("224x224", "14x14", "12", "384", "22,006,120", "absolute + rotary"),
    "cait_xxs24_224": ("224x224", "16x16", "24", "192", "11,956,264", "absolute"),
    "swin_tiny_patch4_window7_224": ("224x224", "4x4", "12", "96", "28,288,354", "relative"),
    "xcit_small_24_p16_224": ("224x224", "16x16", "24", "384", "47,671,384", "fourier"),
}


@pytest.mark.parametrize("name", TIMM)
def test_sizes_are_those_of_timm(name: str):
    assert models.cells(PRESETS[name]) == TIMM[name]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["deit_tiny_patch"], ("deit_tiny_patch16_224",)),
        (["*clsgap*", "deit_tiny_patch"], ("deit_tiny_patch16_224", "vit_relpos_base_patch16_clsgap_224")),
        (["cait_*_384"], ("cait_xxs24_384", "cait_xxs36_384", "cait_s24_384")),
        ([], tuple(PRESETS)),
    ],
)
def test_patterns_select_names(patterns: list, expected: tuple):
    assert models.matching(patterns) == expected


def test_table_is_aligned(capsys: pytest.CaptureFixture[str]):
    assert program.main(["models", "deit_tiny_patch", "swin_tiny"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "model                            size  patch  depth  width   parameters  position",
        "deit_tiny_patch16_224         224x224  16x16     12    192    5,717,416  absolute",
        "swin_tiny_patch4_window7_224  224x224    4x4     12     96   28,288,354  relative",
    ]


def test_names_alone_are_one_a_line(capsys: pytest.CaptureFixture[str]):
    assert program.main(["models", "--names"]) == 0
    assert capsys.readouterr().out.splitlines() == list(PRESETS)


def test_nearest_name_is_suggested(capsys: pytest.CaptureFixture[str]):
    assert program.main(["models", "vit_smal_patch16_224"]) == 2
    assert "DO: try vit_small_patch16_224" in capsys.readouterr().err


def test_tags_are_those_of_timm_the_default_one_first(capsys: pytest.CaptureFixture[str]):
    assert program.main(["models", "deit3_small_patch16_224", "--tags"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "deit3_small_patch16_224.fb_in1k",
        "deit3_small_patch16_224.fb_in22k_ft_in1k",
    ]
