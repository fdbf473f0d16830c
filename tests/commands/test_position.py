"""The `position` verb: its files hold the model's tables, fits and pictures."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from gauss_vit.commands import position
from gauss_vit.errors import ConfigError
from gauss_vit.inspect import position_results
from gauss_vit.inspect.position_results import row_tokens
from gauss_vit.position import AxialRotary, QueryGaussian
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.position import Position, without_terms
from gauss_vit.position.terms.gaussian import Gaussian
from tests.command_lines import invocation
from tests.drawing import undrawn
from tests.named_models import named_of
from tests.tiny_config import MODEL

FIGURES = [f"_{name}.{suffix}" for name in ("layers", "rows", "strip", "tables") for suffix in ("pdf", "png")]


def run(monkeypatch, out, config=MODEL, **options):
    with undrawn():
        drawn(monkeypatch, out, config, **options)


def drawn(monkeypatch, out, config=MODEL, **options):
    # A PDF takes a second, most of it for its fonts.
    options = {"format": "png"} | options
    named = named_of(config)
    monkeypatch.setattr(position, "named_model", lambda invocation: named)
    position.run(invocation(["position", f"--out={out}", *(f"--{name}={value}" for name, value in options.items())]))


def test_tables_fits_and_pictures_are_written(monkeypatch, tmp_path, capsys):
    drawn(monkeypatch, tmp_path / "out", format="png,pdf")
    names = sorted(path.name.removeprefix("tiny_position") for path in (tmp_path / "out").iterdir())
    assert names == [".json", ".npz", *FIGURES]
    assert "2 layers" in capsys.readouterr().out


def test_what_is_no_table_is_named(monkeypatch, tmp_path, capsys):
    beside = Position(terms=(Gaussian(sigma=1.0),), rotary=AxialRotary(), query_gaussian=QueryGaussian())
    run(monkeypatch, tmp_path, dataclasses.replace(MODEL, position=beside))
    assert "no table shows AxialRotary and QueryGaussian: attention on images does" in capsys.readouterr().out
    alone = dataclasses.replace(MODEL, position=Position(rotary=AxialRotary()))
    with pytest.raises(ConfigError, match="no table shows AxialRotary"):
        run(monkeypatch, tmp_path, alone)


def test_the_record_has_every_layer_with_the_learned_gaussian(monkeypatch, tmp_path):
    run(monkeypatch, tmp_path)
    record = json.loads((tmp_path / "tiny_position.json").read_text())
    assert (record["model"], record["step"], record["grid"]) == ("tiny", 5, [2, 4])
    assert [layer["gaussian"] for layer in record["layers"]] == [
        {"amplitude": [2.0], "sigma_y": [1.0], "sigma_x": [1.0]}
    ] * 2


def test_the_tables_are_those_of_the_term(monkeypatch, tmp_path):
    run(monkeypatch, tmp_path)
    with np.load(tmp_path / "tiny_position.npz") as archive:
        tables = archive["tables"]
    dy, dx = np.meshgrid(np.arange(-1, 2), np.arange(-3, 4), indexing="ij")
    np.testing.assert_allclose(tables, np.stack([4 * np.exp(-(dy**2 + dx**2) / 2)] * 2), rtol=1e-6)


def test_a_model_without_position_bias_is_refused(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match="no position bias"):
        run(monkeypatch, tmp_path / "out", without_terms(MODEL, Gaussian))
    assert not (tmp_path / "out").exists()


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for index in range(3):
        pixels = np.random.default_rng(index).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{index}.png")
    return images


ABSOLUTE = dataclasses.replace(MODEL, position=Position(absolute=AbsoluteEmbedding()))


def test_a_model_with_an_absolute_embedding_alone_has_its_similarities(monkeypatch, tmp_path):
    drawn(monkeypatch, tmp_path / "out", ABSOLUTE)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"tiny_embedding.{suffix}" for suffix in ("json", "npz", "png")]
    with np.load(tmp_path / "out" / "tiny_embedding.npz") as archive:
        similarity = archive["similarity"]
    assert similarity.shape == (2, 4, 2, 4)
    np.testing.assert_allclose(np.einsum("ijij->ij", similarity), 1)
    record = json.loads((tmp_path / "out" / "tiny_embedding.json").read_text())
    assert (record["model"], record["step"], record["grid"], record["token"]) == ("tiny", 5, [2, 4], [0, 1])


def test_images_show_how_far_attention_looks(monkeypatch, tmp_path, folder, capsys):
    drawn(monkeypatch, tmp_path / "out", images=str(folder), max_images=2, token="1,2")
    names = {path.name.removeprefix("tiny_attention") for path in (tmp_path / "out").glob("tiny_attention*")}
    assert names == {".json", ".npz", "_distance.png", "_rollout.png"}
    with np.load(tmp_path / "out" / "tiny_attention.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    assert arrays["distance_px"].shape == (2, 2)
    np.testing.assert_allclose(arrays["distance_px"], 8 * arrays["distance"], rtol=1e-5)
    np.testing.assert_allclose(arrays["rollout"].sum(axis=(1, 2)), 1, rtol=1e-5)
    assert arrays["token"].tolist() == [1, 2]
    record = json.loads((tmp_path / "out" / "tiny_attention.json").read_text())
    assert (record["num_images"], len(record["layers"])) == (2, 2)
    assert "mean attention distance" in capsys.readouterr().out


def test_the_token_is_that_of_the_fit(monkeypatch, tmp_path):
    run(monkeypatch, tmp_path, token="1,3")
    assert json.loads((tmp_path / "tiny_position.json").read_text())["token"] == [1, 3]


def test_a_model_without_positions_has_attention_all_the_same(monkeypatch, tmp_path, folder):
    run(monkeypatch, tmp_path / "out", without_terms(MODEL, Gaussian), images=str(folder), max_images=1)
    assert {path.name.split(".")[0] for path in (tmp_path / "out").iterdir()} == {
        "tiny_attention",
        "tiny_attention_distance",
        "tiny_attention_rollout",
    }


@pytest.mark.parametrize(("word", "message"), [("all", "one token"), ("2,0", "outside the grid")])
def test_tokens_that_cannot_be_are_refused(monkeypatch, tmp_path, word, message):
    with pytest.raises(ConfigError, match=message):
        run(monkeypatch, tmp_path / "out", token=word)
    assert not (tmp_path / "out").exists()


def test_figure_5_of_the_paper_has_patches_0_1_2_and_the_last():
    assert row_tokens("0,1,2,last", (14, 14), center=(6, 6)) == ((0, 0), (0, 1), (0, 2), (13, 13))
    assert row_tokens("0,1,2,last", (1, 2), center=(0, 0)) == ((0, 0), (0, 1))
    assert row_tokens("0,5,center", (2, 4), center=(0, 1)) == ((0, 0), (1, 1), (0, 1))


def test_the_rows_that_are_asked_for_are_drawn(monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(position_results, "rows_figure", lambda analysis, tokens, **words: drawn.append(tokens))
    monkeypatch.setattr(position_results, "write_figures", lambda *arguments, **words: None)
    run(monkeypatch, tmp_path, rows="0,1,2,last")
    run(monkeypatch, tmp_path)
    assert drawn == [((0, 0), (0, 1), (0, 2), (1, 3)), ((0, 0), (0, 1), (1, 3))]


@pytest.mark.parametrize(("rows", "message"), [("first", "got 'first'"), ("8,9", "names no patch")])
def test_rows_that_are_no_patches_are_refused(monkeypatch, tmp_path, rows, message):
    with pytest.raises(ConfigError, match=message):
        run(monkeypatch, tmp_path / "out", rows=rows)


def test_tables_of_another_image_size_are_those_of_its_grid(monkeypatch, tmp_path):
    run(monkeypatch, tmp_path, image_size="32x48")
    assert json.loads((tmp_path / "tiny_size-32x48_position.json").read_text())["grid"] == [4, 6]
