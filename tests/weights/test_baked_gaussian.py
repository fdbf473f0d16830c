"""The record of a baked Gaussian in a file's header: read back as it was, and refused where it does not fit."""

import dataclasses
import json

import numpy as np
import pytest

from gauss_vit.position.position import Position, without_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.weights.baked_gaussian import baked_gaussian, gaussian_of, to_metadata
from tests.networks import network_params
from tests.tiny_config import MODEL

VARIANTS = [Gaussian(), Gaussian(per_head=True, anisotropic=True, unit="image", amplitude=1 / 3)]


def of(term):
    config = dataclasses.replace(MODEL, position=Position(terms=(term,)))
    return config, network_params(config)


@pytest.mark.parametrize("term", VARIANTS, ids=["shared by heads", "every variant"])
def test_it_is_read_back_bit_by_bit(term):
    config, params = of(term)
    written = gaussian_of(config, params)
    read = baked_gaussian(to_metadata(written), without_terms(config, Gaussian))
    assert read.term == term
    assert read.params.keys() == written.params.keys()
    for path, leaves in written.params.items():
        for name, leaf in leaves.items():
            np.testing.assert_array_equal(read.params[path][name], leaf)


def test_a_model_without_a_gaussian_of_its_blocks_has_no_record():
    plain = without_terms(MODEL, Gaussian)
    assert gaussian_of(plain, network_params(plain)) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("params"),
        lambda content: content["params"].update(elsewhere={}),
        lambda content: content["params"].popitem(),
        lambda content: content["term"].update(sigma=-1),
        lambda content: content["term"].update(unknown=1),
        lambda content: next(iter(content["params"].values())).update(sigma=[[1.0]]),
        lambda content: next(iter(content["params"].values())).update(sigma=[[float("nan")], [1.0]]),
        lambda content: next(iter(content["params"].values())).update(sigma="wide"),
    ],
)
def test_what_does_not_fit_is_as_if_nothing_was_said(change):
    (name, text), *_ = to_metadata(gaussian_of(*of(Gaussian()))).items()
    content = json.loads(text)
    change(content)
    assert baked_gaussian({name: json.dumps(content)}, MODEL) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000])
def test_damaged_text_is_as_if_nothing_was_said(text):
    assert baked_gaussian({"baked_gaussian": text}, MODEL) is None
    assert baked_gaussian({}, MODEL) is None
