"""The position value of a config: what it holds, and how terms come and go."""

import dataclasses

import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.models.presets import PRESETS
from gauss_vit.position import AbsoluteEmbedding, Gaussian, Position, RelativeMlp, RelativeTable
from gauss_vit.position.position import with_terms, without_terms

MLP = RelativeMlp(hidden=8)


def test_terms_are_added_behind_those_that_are_there():
    position = Position(terms=(MLP,), absolute=AbsoluteEmbedding()).with_terms(Gaussian(), RelativeTable())
    assert position == Position(terms=(MLP, Gaussian(), RelativeTable()), absolute=AbsoluteEmbedding())


def test_a_term_takes_the_place_of_one_with_its_name():
    assert Position(terms=(Gaussian(), MLP)).with_terms(Gaussian(sigma=1.0)).terms == (Gaussian(sigma=1.0), MLP)


def test_terms_of_a_class_are_left_out_wherever_they_are():
    position = Position(terms=(MLP, Gaussian()), shared=(Gaussian(),))
    assert position.without(Gaussian) == Position(terms=(MLP,))


@pytest.mark.parametrize("group", ["terms", "shared"])
def test_two_terms_of_one_name_are_refused(group):
    with pytest.raises(ConfigError, match="terms need different names, got gaussian, gaussian"):
        Position(**{group: (Gaussian(), Gaussian(sigma=1.0))})


@pytest.mark.parametrize("name", ["vit_small_patch16_224", "swin_tiny_patch4_window7_224"])
def test_every_backbone_takes_terms_and_gives_them_back(name):
    config = PRESETS[name]
    both = with_terms(config, Gaussian(sigma=2.0))
    assert both.position.all_terms == (*config.position.all_terms, Gaussian(sigma=2.0))
    assert without_terms(both, Gaussian) == config


@pytest.mark.parametrize("change", [{"shared": (MLP,)}, {"absolute": AbsoluteEmbedding()}])
def test_a_swin_has_neither_shared_terms_nor_an_absolute_embedding(change):
    with pytest.raises(ConfigError, match=r"position\.terms alone"):
        dataclasses.replace(PRESETS["swin_tiny_patch4_window7_224"], position=Position(**change))
