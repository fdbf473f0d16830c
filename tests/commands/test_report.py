"""The `report` verb: its page holds the model's own fields, biases and attention."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit import main as program
from gauss_vit.assembly.named_model import trained
from gauss_vit.commands import report
from gauss_vit.inspect.photos import photos_of_run
from gauss_vit.inspect.report.packing import CompandedMaps, expand, unpack
from tests.inspect.report.samples import SWIN, document


@pytest.fixture(scope="module")
def page_of_run(workdir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    out = tmp_path_factory.mktemp("report") / "page.html"
    command = ["report", f"--workdir={workdir}", f"--out={out}", "--max_images=5", "--show_images=2", "--batch_size=4"]
    assert program.main([*command, "--protocol=pre_norm"]) == 0
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]
    return document(out.read_text(encoding="utf-8"))


def test_run_is_shown_on_its_own_evaluation_images(page_of_run: dict):
    assert (page_of_run["model"], page_of_run["step"], page_of_run["measured"]) == ("tiny", 4, 5)
    assert [image["name"] for image in page_of_run["images"]] == ["test[:50] 0", "test[:50] 1"]
    assert [len(field["numbers"]["sigma_x"]) for field in page_of_run["fields"]] == [8, 8]
    assert any("2 of the 5 images are shown" in note for note in page_of_run["notes"])


def test_attention_of_the_page_is_that_of_the_model(page_of_run: dict, workdir: Path):
    named = trained(workdir)
    (photo, _) = photos_of_run(workdir, at_most=2)
    model = nnx.merge(named.graph, named.params).backbone
    (layers,) = jax.jit(model.intermediates)(named.normalization(jnp.asarray(photo.pixels[None])))
    packed = page_of_run["images"][0]["heads"]
    found = expand(
        CompandedMaps(codes=unpack(packed["codes"]), peaks=unpack(packed["peaks"]), is_signed=packed["signed"])
    )
    expected = np.asarray(layers.attention_weights[:, 0]).reshape(2, 2, 8, 2, 4)
    np.testing.assert_allclose(found, expected, atol=expected.max() * (1 / 255 + 1 / 510**2))


def test_folder_of_images_is_shown_by_name(workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    assert program.main(["report", f"--workdir={workdir}", f"--images={tmp_path}", f"--out={tmp_path}/x.html"]) == 3
    assert "no images under" in capsys.readouterr().err


def test_unknown_choice_of_layers_is_refused(workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    assert program.main(["report", f"--workdir={workdir}", f"--out={tmp_path}/x.html", "--layers=first"]) == 2
    assert "--layers must be all, last or decoder, got 'first'" in capsys.readouterr().err


def test_an_image_that_is_not_whole_patches_is_refused_before_anything_is_measured(
    workdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    uneven = dataclasses.replace(trained(workdir), config=dataclasses.replace(SWIN, image_size=(36, 32)))
    monkeypatch.setattr(report, "named_model", lambda invocation: uneven)
    assert program.main(["report", f"--workdir={workdir}", f"--out={tmp_path}/x.html"]) == 2
    assert "36 x 32 are not a whole number of patches of 8 x 8" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
