"""`position`: what a model knows of positions, and what its attention makes of it on images."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from gauss_vit.analysis.attention import ImageAttention
from gauss_vit.analysis.embedding import EmbeddingAnalysis, analyse_embedding
from gauss_vit.analysis.position import PositionAnalysis, analyse_position
from gauss_vit.analysis.token import Token, parse_tokens
from gauss_vit.assembly.invocation import Invocation, say
from gauss_vit.assembly.named_model import NamedModel, named_model
from gauss_vit.data.images.image import open_images
from gauss_vit.errors import ConfigError
from gauss_vit.inspect.attention import read_attention
from gauss_vit.inspect.position import position_embedding, position_groups
from gauss_vit.inspect.result_files import suffixed, write_arrays, write_figure, write_record
from gauss_vit.ops.grid import Grid
from gauss_vit.plots.attention import distance_figure, rollout_figure
from gauss_vit.plots.embedding import similarity_figure
from gauss_vit.plots.position import layers_figure, rows_figure, tables_figure
from gauss_vit.plots.strips import bias_strip_figure


def run(invocation: Invocation) -> None:
    """Writes arrays (npz), numbers (json) and figures (png and pdf) of all that a model has of positions to `--out`.

    NAME_position.* are its position biases, for every stage of the model; NAME_embedding.* its absolute embedding; and
    with `--images` NAME_attention.* how far its attention looks on them.

    Raises:
      ConfigError: a flag is wrong or missing, or the model has nothing of that kind.
      DataError: there are no images, or one is damaged.
      CheckpointError: no checkpoint verifies.
      StorageError: the results cannot be written.
    """
    out, word = invocation.path("out"), invocation.text("token")
    paths = open_images(invocation.path("images")) if invocation.is_given("images") else ()
    named = named_model(invocation)
    embedding = position_embedding(named.config, named.params)
    if named.config.has_position_bias or (embedding is None and not paths):
        _write_biases(out, named, analyse(named, word=word))
    if embedding is not None:
        _write_embedding(
            out / f"{named.name}_embedding",
            named,
            analyse_embedding(embedding, grid=named.config.grid, token=_token(word, named.config.grid)),
        )
    if paths:
        token = _token(word, named.config.grid)
        attention = read_attention(named, paths[: invocation.integer("max_images")], token=token)
        _write_attention(out / f"{named.name}_attention", named, attention)


def analyse(named: NamedModel, *, word: str = "center") -> dict[str, PositionAnalysis]:
    """Computes the offset tables of every layer and fits a Gaussian to one patch's row.

    Args:
      named: the model.
      word: which patch, `center` or `row,column`; in the window where attention runs in windows.

    Returns:
      The analysis of each group of blocks of equal shape, by the name of its files.

    Raises:
      ConfigError: the model has no position bias, or the patch is none of it.
    """
    groups = position_groups(named.config, named.params)
    return {
        "_".join(part for part in (named.name, group.name, "position") if part): analyse_position(
            group.tables, grid=group.grid, token=_token(word, group.grid), learned=group.learned
        )
        for group in groups
    }


def write_results(path: Path, named: NamedModel, analysis: PositionAnalysis) -> None:
    """Writes tables, fits and pictures under a path without its ending."""
    height, width = analysis.grid
    tokens = tuple(dict.fromkeys(((0, 0), (0, min(1, width - 1)), analysis.token, (height - 1, width - 1))))
    title = path.name.removesuffix("_position")
    record = _context(named) | analysis.to_json()
    write_arrays(suffixed(path, "npz"), {"tables": analysis.tables})
    write_record(suffixed(path, "json"), record)
    _write_figures(path.with_name(f"{path.name}_tables"), tables_figure(analysis, title=title))
    _write_figures(path.with_name(f"{path.name}_rows"), rows_figure(analysis, tokens, layer=1, title=title))
    _write_figures(path.with_name(f"{path.name}_layers"), layers_figure(analysis, title=title))
    _write_figures(path.with_name(f"{path.name}_strip"), bias_strip_figure(analysis, title=title))


def _token(word: str, grid: Grid) -> Token:
    tokens = parse_tokens(word, grid)
    if word == "all":
        raise ConfigError("position looks at one token", do="write --token=center or --token=row,column")
    return tokens[0]


def _write_biases(out: Path, named: NamedModel, analyses: dict[str, PositionAnalysis]) -> None:
    for stem, analysis in analyses.items():
        write_results(out / stem, named, analysis)
        median = np.median([fit.r_squared for fit in analysis.fits])
        files = f"{out / stem}.npz .json _tables _rows _layers _strip .png .pdf"
        say(f"{files}: {analysis.depth} layers, median R2 {median:.3f}")


def _write_embedding(path: Path, named: NamedModel, analysis: EmbeddingAnalysis) -> None:
    write_arrays(suffixed(path, "npz"), {"similarity": analysis.similarity})
    write_record(suffixed(path, "json"), _context(named) | analysis.to_json())
    _write_figures(path, similarity_figure(analysis, title=named.name))
    say(f"{path}.npz .json .png .pdf: position embedding, R2 of the Gaussian fit {analysis.fit.r_squared:.3f}")


def _write_attention(path: Path, named: NamedModel, attention: ImageAttention) -> None:
    write_arrays(suffixed(path, "npz"), _arrays(attention))
    write_record(suffixed(path, "json"), _context(named) | attention.to_json())
    _write_figures(path.with_name(f"{path.name}_distance"), distance_figure(attention, title=named.name))
    pictures = "_distance"
    if attention.rollout is not None:
        _write_figures(path.with_name(f"{path.name}_rollout"), rollout_figure(attention, title=named.name))
        pictures = "_distance _rollout"
    first, last = (layer.distance_px.mean() for layer in (attention.layers[0], attention.layers[-1]))
    found = f"mean attention distance {first:.1f} px in the first layer, {last:.1f} px in the last"
    say(f"{path}.npz .json {pictures} .png .pdf: {attention.num_images} images, {found}")


def _write_figures(path: Path, figure: Figure) -> None:
    write_figure(suffixed(path, "png"), figure)
    write_figure(suffixed(path, "pdf"), figure)


def _context(named: NamedModel) -> dict[str, object]:
    return {"model": named.name, "step": named.step}


def _arrays(attention: ImageAttention) -> dict[str, np.ndarray]:
    """Gives what is drawn; where layers differ in heads, those that are missing are NaN."""
    arrays = {
        "distance": _padded([layer.distance for layer in attention.layers]),
        "distance_px": _padded([layer.distance_px for layer in attention.layers]),
        "entropy": _padded([layer.entropy for layer in attention.layers]),
        "token": np.array(attention.token, np.int64),
    }
    rollouts = {"rollout": attention.rollout, "class_rollout": attention.class_rollout}
    return arrays | {name: maps for name, maps in rollouts.items() if maps is not None}


def _padded(rows: list[np.ndarray]) -> np.ndarray:
    padded = np.full((len(rows), max(row.size for row in rows)), np.nan)
    for index, row in enumerate(rows):
        padded[index, : row.size] = row
    return padded
