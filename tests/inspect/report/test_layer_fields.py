"""Fields of all patches after every layer: those of `erf`, in a run that may be killed and repeated."""

import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.analysis.erf import accumulate, batch_of
from gauss_vit.analysis.gaussian_fit import fit_receptive_fields
from gauss_vit.analysis.protocol import BMVC2023, PRE_NORM
from gauss_vit.analysis.token import all_tokens
from gauss_vit.errors import ConfigError
from gauss_vit.inspect import erf_run
from gauss_vit.inspect.report import layer_fields
from gauss_vit.inspect.report.layer_fields import FieldPlan, fields_of_layers, middle_layers, remove_partial_files
from gauss_vit.inspect.report.notes import notes_of
from gauss_vit.inspect.report.reduced_fields import report_field
from tests.inspect.report.samples import SWIN, photos
from tests.named_models import named_of
from tests.segmenter import segmenter
from tests.tiny_config import MODEL

NUM_IMAGES = 2


@functools.cache
def named():
    return named_of(MODEL)


def plan(page: Path | None = None, **changes) -> FieldPlan:
    plain = FieldPlan(photos=photos(NUM_IMAGES), protocol=PRE_NORM, layers="all", batch_size=2, page=page)
    return dataclasses.replace(plain, **changes)


def count_batches(monkeypatch: pytest.MonkeyPatch, *, fails_at: int | None = None) -> list[int]:
    """Notes every batch that is measured, and fails at one."""
    add, calls = erf_run.add, []

    def counted(total, features, batch):
        calls.append(total.num_images)
        if len(calls) == fails_at:
            raise RuntimeError("killed")
        return add(total, features, batch)

    monkeypatch.setattr(erf_run, "add", counted)
    return calls


def test_fields_of_a_layer_are_those_of_the_collected_stream():
    pixels = np.stack([photo.pixels for photo in photos(NUM_IMAGES)])
    batch = batch_of(named().normalization(jnp.asarray(pixels)))
    model = nnx.merge(named().graph, named().params).backbone

    def behind_the_first_block(images):
        _, entering = model.scan_blocks(model.embed(images), collect=True)
        return entering[1].reshape(-1, *MODEL.grid, MODEL.width)

    maps = accumulate(
        jax.tree_util.Partial(behind_the_first_block), [batch], tokens=all_tokens(MODEL.grid), protocol=PRE_NORM
    ).maps()
    fits = fit_receptive_fields(np.stack([field.values for field in maps]))
    expected = report_field(maps, fits, shape=MODEL.image_size)
    first, last = fields_of_layers(named(), plan())
    np.testing.assert_allclose(first.maps, expected.maps, rtol=1e-3, atol=expected.maps.max() * 1e-5)
    np.testing.assert_allclose(first.numbers[-1], expected.numbers[-1], rtol=1e-3)
    assert np.abs(first.maps - last.maps).max() > 1


def test_decoder_is_measured_at_the_centre_of_each_patch():
    segmenting = segmenter()
    before, decoded = fields_of_layers(segmenting, plan(layers="decoder", protocol=BMVC2023))
    # Its head reads the end of the backbone.
    (_, last) = fields_of_layers(segmenting, plan(layers="last", protocol=BMVC2023))
    assert before is None
    np.testing.assert_allclose(decoded.maps, last.maps, rtol=1e-4, atol=last.maps.max() * 1e-6)
    notes = notes_of(MODEL, plan(layers="decoder"), fields=(None, decoded), num_shown=2)
    assert any("in the centre of each patch" in note for note in notes)


def test_last_layer_alone_is_measured_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    calls = count_batches(monkeypatch)
    first, last = fields_of_layers(named(), plan(layers="last"))
    assert first is None and last is not None
    assert calls == [0]


def test_killed_run_goes_on_behind_the_last_layer_that_it_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = tmp_path / "page.html"
    with monkeypatch.context() as patch:
        count_batches(patch, fails_at=2)
        with pytest.raises(RuntimeError, match="killed"):
            fields_of_layers(named(), plan(page))
    assert [path.name for path in tmp_path.iterdir()] == ["page.html.layer-last.partial.npz"]
    calls = count_batches(monkeypatch)
    resumed = fields_of_layers(named(), plan(page))
    assert calls == [0]
    for found, expected in zip(resumed, fields_of_layers(named(), plan()), strict=True):
        np.testing.assert_array_equal(found.maps, expected.maps)
        np.testing.assert_array_equal(found.numbers, expected.numbers)
    remove_partial_files(named(), page)
    assert list(tmp_path.iterdir()) == []


def test_saved_fields_of_other_images_are_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    page = tmp_path / "page.html"
    fields_of_layers(named(), plan(page, layers="last"))
    (*_, last) = fields_of_layers(named(), plan(page, layers="last", photos=photos(3)[1:]))
    (*_, expected) = fields_of_layers(named(), plan(layers="last", photos=photos(3)[1:]))
    np.testing.assert_array_equal(last.maps, expected.maps)
    assert "another measurement" in caplog.text


def test_layer_whose_field_is_not_defined_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch):
    measure = layer_fields.measure

    def refusing(named, measurement, *, partial):
        if measurement.layer == 1:
            raise ConfigError("nothing is left", code="ERF-DEGENERATE")
        return measure(named, measurement, partial=partial)

    monkeypatch.setattr(layer_fields, "measure", refusing)
    fields = fields_of_layers(named(), plan())
    assert fields[0] is None and fields[1] is not None
    notes = " ".join(notes_of(MODEL, plan(), fields=fields, num_shown=1))
    assert "The receptive fields of layer 0 are not defined" in notes


def test_layers_before_the_last_have_its_patches():
    assert middle_layers(dataclasses.replace(MODEL, depth=4)) == (1, 2, 3)
    assert middle_layers(SWIN) == (2,)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "those of layer 0 are of the output of these blocks, shown pixel by pixel"),
        ({"layers": "last"}, "Fields of other layers were not measured; --layers=all does"),
        ({"protocol": BMVC2023}, "after its final normalisation if it has one"),
    ],
)
def test_notes_say_what_a_layer_shows(changes: dict, said: str):
    fields = fields_of_layers(named(), plan())
    assert said in " ".join(notes_of(MODEL, plan(**changes), fields=fields, num_shown=1))
