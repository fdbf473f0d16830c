"""The page holds what it was given, fits its limit, and neither loads anything nor obeys a name."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.inspect.report import page as pages
from gauss_vit.inspect.report.images import distances, report_image
from gauss_vit.inspect.report.packing import CompandedMaps, expand, unpack
from gauss_vit.inspect.report.page import render, within_budget
from gauss_vit.inspect.report.reduced_fields import NUMBERS, ReportField, end_shape, middle_shape
from tests.inspect.report.made_up_report import (
    GRID,
    HEADS,
    IMAGE_SIZE,
    LAYERS,
    PREFIX,
    SHOWN,
    images,
    report,
    tables,
    weights,
)
from tests.inspect.report.samples import document


@pytest.fixture(scope="module")
def page() -> str:
    return render(report())


def test_page_loads_nothing(page: str):
    shell = re.sub(r'id="data">.*?</script>', "", page, flags=re.DOTALL)
    assert not re.search(r"https?:|//[a-z]|url\((?!\$)|@import|<link|<iframe|fetch\(|XMLHttp|WebSocket", shell)
    assert not re.search(r"\s(src|href)\s*=\s*[\"']", shell)
    assert "default-src 'none'; img-src data:" in shell


def test_files_of_the_page_are_installed_with_the_package():
    root = Path(__file__).parents[3]
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["gauss_vit.inspect.report"]
    files = [
        path
        for path in (root / "gauss_vit" / "inspect" / "report").iterdir()
        if path.suffix in (".html", ".css", ".js")
    ]
    assert len(files) >= 3
    assert [path.name for path in files if not any(path.match(pattern) for pattern in patterns)] == []


def test_names_cannot_leave_their_place(page: str):
    assert page.count("</script>") == 2
    assert "<img src=x" not in page
    assert document(page)["model"] == SHOWN
    assert "&lt;/script&gt;" in page[page.index("<title>") : page.index("</title>")]


def test_names_cannot_turn_what_follows_around():
    plain = report()
    names = ("cat\u202egpj", *plain.class_names[1:])
    shown = document(render(replace(plain, class_names=names, model="run\udce9")))
    assert (shown["classNames"][0], shown["model"]) == (r"cat\u202egpj", r"run\udce9")


def test_numbers_of_the_fields_are_those_of_their_fits(page: str):
    numbers = document(page)["fields"][-1]["numbers"]
    np.testing.assert_allclose(numbers["sigma_y"], 3, rtol=1e-3)
    np.testing.assert_allclose(np.reshape(numbers["sigma_x"], GRID)[1], [3, 4, 5, 6, 7], rtol=1e-3)
    np.testing.assert_allclose(numbers["shift_x"], 0, atol=1e-3)


def test_tables_are_kept_to_half_precision(page: str):
    found = [unpack(layer["table"]) for layer in document(page)["layers"]]
    np.testing.assert_allclose(np.stack(found), tables(), atol=2e-3)


def test_distances_and_prefix_shares_are_those_of_the_weights():
    image = report_image("noise", np.zeros((*IMAGE_SIZE, 3), np.uint8), weights(0), grid=GRID)
    found, shares = unpack(image.numbers["distance"]), unpack(image.numbers["prefix"])
    assert found.shape == shares.shape == (LAYERS, 1 + HEADS, GRID[0] * GRID[1])
    row = weights(0)[2, 1, PREFIX + 7]
    y, x = np.divmod(np.arange(15), GRID[1])
    expected = (row[PREFIX:] @ np.hypot(8 * (y - 1), 8 * (x - 2))) / row[PREFIX:].sum()
    assert found[2, 2, 7] == pytest.approx(expected, rel=1e-3)
    assert shares[2, 2, 7] == pytest.approx(row[:PREFIX].sum(), rel=1e-3)
    np.testing.assert_allclose(shares[:, 0], shares[:, 1:].mean(axis=1), rtol=2e-3)


def test_even_attention_looks_as_far_as_patches_are_apart():
    even = np.full((1, 1, 2, 2), 0.5, np.float32)
    assert distances(even, grid=(1, 2), patch_size=(8.0, 10.0)).tolist() == [[[5.0, 5.0]]]


def test_attention_of_the_class_token_is_its_row_of_the_weights():
    image = report_image("noise", np.zeros((*IMAGE_SIZE, 3), np.uint8), weights(0), grid=GRID)
    packed = image.class_token
    found = expand(
        CompandedMaps(codes=unpack(packed["codes"]), peaks=unpack(packed["peaks"]), is_signed=packed["signed"])
    )
    rows = weights(0)[:, :, 0, PREFIX:]
    expected = np.concatenate([rows.mean(axis=1, keepdims=True), rows], axis=1).reshape(LAYERS, 1 + HEADS, *GRID)
    np.testing.assert_allclose(found, expected, atol=expected.max() * (1 / 255 + 1 / 510**2))
    without = report_image("none", np.zeros((*IMAGE_SIZE, 3), np.uint8), weights(0)[:, :, 2:, 2:], grid=GRID)
    assert without.class_token is None


def test_budget_keeps_images_first_and_heads_of_the_first_next():
    three = images(3)
    sizes = [len(pages.safe_json(vars(image))) for image in three]
    assert within_budget(three, sum(sizes)) == three
    kept = within_budget(three, sum(sizes) - 1)
    assert [image.heads is None for image in kept] == [False, False, True]
    assert len(within_budget(three, sizes[0])) == 1
    (bare,) = within_budget(three[:1], len(three[0].jpeg) + len(three[0].name) + 200)
    assert bare.mean is None and bare.numbers == {}
    assert within_budget(three, 10) == ()


def test_page_that_cannot_fit_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pages, "MOST_BYTES", 60_000)
    with pytest.raises(ConfigError, match="would be larger"):
        render(report())


def test_page_says_what_there_was_no_room_for(monkeypatch: pytest.MonkeyPatch):
    content = report()
    sizes = [len(pages.safe_json(vars(image))) for image in content.images]
    bare = len(render(replace(content, images=content.images[:1])).encode()) - sizes[0]
    monkeypatch.setattr(pages, "MOST_BYTES", bare + pages._MARGIN_BYTES + sizes[0] + 900)
    notes = document(render(content))["notes"]
    assert any("more images are not shown" in note for note in notes)
    monkeypatch.setattr(pages, "MOST_BYTES", bare + pages._MARGIN_BYTES + len(content.images[0].jpeg) + 900)
    found = document(render(content))
    assert any("Attention is left out" in note for note in found["notes"])
    assert found["images"][0]["mean"] is None


def test_twelve_layers_of_a_common_size_stay_within_ten_megabytes():
    # Noise, in which nothing repeats, deflates worst.
    draw = np.random.default_rng(0)
    grid, size = (14, 14), (224, 224)
    shapes = [middle_shape(size, grid, 11)] * 11 + [end_shape(size, grid)]
    fields = tuple(
        ReportField(maps=draw.random((196, *shape), dtype=np.float32), numbers=draw.random((len(NUMBERS), 196)) * 100)
        for shape in shapes
    )
    found = draw.random((12, 12, 197, 197), dtype=np.float32)
    pixels = draw.integers(256, size=(*size, 3)).astype(np.uint8)
    image = report_image("noise", pixels, found / found.sum(axis=-1, keepdims=True), grid=grid)
    content = replace(
        report(), image_size=size, grid=grid, fields=fields, layers=report().layers[:1] * 12, images=(image,) * 8
    )
    page = render(content)
    assert len(page.encode()) < 10_000_000
    kept = document(page)["images"]
    assert len(kept) == 8
    assert all(image["mean"] is not None for image in kept)
