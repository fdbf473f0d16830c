"""A report has the model's own biases and attention, and says what it leaves out."""

import dataclasses

from gauss_vit.inspect.report.contents import make_report
from gauss_vit.inspect.report.layers import attention_start, layers_of
from gauss_vit.inspect.report.page import render
from gauss_vit.position.position import without_terms
from gauss_vit.position.terms.gaussian import Gaussian
from tests.inspect.report.samples import SWIN, document, plan
from tests.named_models import named_of
from tests.tiny_config import MODEL


def test_windowed_model_shows_the_attention_of_its_last_map_and_says_so():
    named = named_of(SWIN)
    assert attention_start(SWIN) == 1
    report = make_report(named, plan(2), num_shown=1)
    assert [(layer.shows_patches, layer.attention) for layer in report.layers] == [
        (False, None),
        (True, 0),
        (True, 1),
    ]
    assert [layer.grid for layer in report.layers] == [(2, 4)] * 3
    page = document(render(report))
    assert page["grid"] == [2, 4]
    assert page["images"][0]["heads"]["codes"]["shape"] == [2, 2, 8, 2, 4]
    assert any("Attention of layer 0, in windows of finer maps, is not shown" in note for note in page["notes"])
    assert [field is None for field in page["fields"]] == [True, False, False]
    assert any("fields of layer 0 have patches of their own" in note for note in page["notes"])


def test_attention_in_windows_of_the_last_map_is_not_shown():
    config = dataclasses.replace(SWIN, window=(2, 2))
    assert attention_start(config) == 3
    assert [layer.attention for layer in layers_of(named_of(config))] == [None] * 3


def test_model_without_position_bias_has_no_tables():
    config = without_terms(MODEL, Gaussian)
    assert [(layer.table, layer.attention) for layer in layers_of(named_of(config))] == [(None, 0), (None, 1)]


def test_learned_values_are_those_of_the_parameters():
    layers = layers_of(named_of(MODEL))
    assert [(layer.amplitude.tolist(), layer.sigma_y.tolist()) for layer in layers] == [([2.0], [1.0])] * 2
    assert layers[0].table.shape == (1, 3, 7)
