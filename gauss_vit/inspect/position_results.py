"""Result files of what a model knows of positions: its biases, its absolute embedding, how far its attention looks.

Every function that writes returns the line that tells a user what was written and what came out.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gauss_vit.analysis.attention import ImageAttention
from gauss_vit.analysis.embedding import EmbeddingAnalysis
from gauss_vit.analysis.position import PositionAnalysis, analyse_position
from gauss_vit.analysis.token import Token, parse_tokens
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.errors import ConfigError
from gauss_vit.inspect.position import position_groups
from gauss_vit.inspect.result_files import (
    DEFAULT_FORMATS,
    FigureFormats,
    file_names,
    suffixed,
    write_arrays,
    write_figures,
    write_record,
)
from gauss_vit.inspect.titles import title_of
from gauss_vit.ops.grid import Grid
from gauss_vit.plots.attention import distance_figure, rollout_figure
from gauss_vit.plots.embedding import similarity_figure
from gauss_vit.plots.position import layers_figure, rows_figure, tables_figure
from gauss_vit.plots.strips import bias_strip_figure
from gauss_vit.quantities import counted


@dataclass(frozen=True, kw_only=True)
class BiasResult:
    """The position biases of a group of blocks of equal shape.

    Attributes:
      stem: name of the result files, without suffix.
      title: title of the figures.
      analysis: the tables and their fits.
    """

    stem: str
    title: str
    analysis: PositionAnalysis


def analyse_biases(named: NamedModel, *, stem: str = "", token: str = "center") -> tuple[BiasResult, ...]:
    """Computes the offset tables of every layer and fits a Gaussian to one patch's row.

    Args:
      named: the model.
      stem: first part of the names of result files; that of the model by default.
      token: the patch, as `center` or `row,column`; in the window where attention runs in windows.

    Raises:
      ConfigError: the model has no position bias, or there is no such patch.
    """
    return tuple(
        BiasResult(
            stem="_".join(part for part in (stem or named.name, group.name, "position") if part),
            title=title_of(named, part=group.name),
            analysis=analyse_position(
                group.tables, grid=group.grid, token=one_token(token, group.grid), learned=group.learned
            ),
        )
        for group in position_groups(named.config, named.params)
    )


def one_token(text: str, grid: Grid) -> Token:
    """Reads one patch of a grid, as `center` or `row,column`.

    Raises:
      ConfigError: the text is `all` or something else, or there is no such patch.
    """
    tokens = parse_tokens(text, grid)
    if text == "all":
        raise ConfigError("position looks at one token", do="write --token=center or --token=row,column")
    return tokens[0]


def row_tokens(text: str, grid: Grid, *, center: Token) -> tuple[Token, ...]:
    """Reads patches whose rows are drawn, as numbers from 0, row by row, `center` and `last`; each is taken once.

    Args:
      text: words separated by commas; numbers beyond the grid, such as a small window's, are left out.
      grid: (height, width) in patches.
      center: the patch that `center` stands for.

    Raises:
      ConfigError: a word is something else, or all are beyond the grid.

    >>> row_tokens("0,1,2,last", (14, 14), center=(6, 6))
    ((0, 0), (0, 1), (0, 2), (13, 13))
    """
    words = [word.strip() for word in text.split(",")]
    wrong = [word for word in words if not (word.isdecimal() or word in ("center", "last"))]
    if wrong:
        raise ConfigError(f"expected --rows as numbers of patches and got {wrong[0]!r}", do="write --rows=0,1,2,last")
    height, width = grid
    named = {"center": center, "last": (height - 1, width - 1)}
    tokens = [named[word] if word in named else divmod(int(word), width) for word in words]
    within = tuple(dict.fromkeys(token for token in tokens if token[0] < height))
    if not within:
        raise ConfigError(f"--rows={text} names no patch of a grid of {height} x {width}", do="write --rows=0,1,2,last")
    return within


def write_biases(
    out: Path,
    named: NamedModel,
    result: BiasResult,
    *,
    rows: tuple[Token, ...] | None = None,
    formats: FigureFormats = DEFAULT_FORMATS,
) -> str:
    """Writes tables, fits and figures of one group of blocks to the folder `out`.

    Args:
      out: folder.
      named: the model.
      result: the biases.
      rows: query patches whose rows of the first layer are drawn; the first two, that of the fit and the last by
        default.
      formats: formats of the figures.

    Raises:
      StorageError: a file cannot be written.
    """
    path, title, analysis = out / result.stem, result.title, result.analysis
    tokens = rows or row_tokens("0,1,center,last", analysis.grid, center=analysis.token)
    write_arrays(suffixed(path, "npz"), {"tables": analysis.tables})
    write_record(suffixed(path, "json"), _source(named) | analysis.to_json())
    figures = {
        "tables": tables_figure(analysis, title=title),
        "rows": rows_figure(analysis, tokens, layer=0, title=title),
        "layers": layers_figure(analysis, title=title),
        "strip": bias_strip_figure(analysis, title=title),
    }
    for name, figure in figures.items():
        write_figures(path.with_name(f"{path.name}_{name}"), figure, formats=formats)
    fitted = [fit.r_squared for fit in analysis.fits if np.isfinite(fit.r_squared)]
    outcome = f"median R2 {np.median(fitted):.3f}" if fitted else "no layer has a Gaussian"
    if 0 < len(fitted) < analysis.depth:
        outcome += f" of the {len(fitted)} that have a Gaussian"
    files = file_names(path, "npz", "json", *(f"_{name}" for name in figures), formats=formats)
    return f"{files}: {counted(analysis.depth, 'layer')}, {outcome}"


def write_embedding(
    path: Path, named: NamedModel, analysis: EmbeddingAnalysis, *, formats: FigureFormats = DEFAULT_FORMATS
) -> str:
    """Writes the similarities of an absolute position embedding; `path` has no suffix.

    Raises:
      StorageError: a file cannot be written.
    """
    write_arrays(suffixed(path, "npz"), {"similarity": analysis.similarity})
    write_record(suffixed(path, "json"), _source(named) | analysis.to_json())
    write_figures(path, similarity_figure(analysis, title=title_of(named)), formats=formats)
    files = file_names(path, "npz", "json", formats=formats)
    r_squared = analysis.fit.r_squared
    outcome = f"R2 of the Gaussian fit {r_squared:.3f}" if np.isfinite(r_squared) else "no Gaussian fits it"
    return f"{files}: position embedding, {outcome}"


def write_attention(
    path: Path, named: NamedModel, attention: ImageAttention, *, formats: FigureFormats = DEFAULT_FORMATS
) -> str:
    """Writes how far attention looks on images; `path` has no suffix.

    Raises:
      StorageError: a file cannot be written.
    """
    write_arrays(suffixed(path, "npz"), attention_arrays(attention))
    write_record(suffixed(path, "json"), _source(named) | attention.to_json())
    figures = {"distance": distance_figure(attention, title=title_of(named))}
    if attention.rollout is not None:
        figures["rollout"] = rollout_figure(attention, title=title_of(named))
    for name, figure in figures.items():
        write_figures(path.with_name(f"{path.name}_{name}"), figure, formats=formats)
    first, last = (layer.distance_px.mean() for layer in (attention.layers[0], attention.layers[-1]))
    outcome = f"mean attention distance {first:.1f} px in the first layer, {last:.1f} px in the last"
    files = file_names(path, "npz", "json", *(f"_{name}" for name in figures), formats=formats)
    return f"{files}: {counted(attention.num_images, 'image')}, {outcome}"


def attention_arrays(attention: ImageAttention) -> dict[str, np.ndarray]:
    """Returns the arrays of the figures; layers with fewer heads than others are padded with NaN."""
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


def _source(named: NamedModel) -> dict[str, object]:
    return {"model": named.name, "step": named.step}
