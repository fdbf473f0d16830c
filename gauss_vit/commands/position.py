"""`position`: the position biases of a model as tables, Gaussian fits and pictures."""

from pathlib import Path

import numpy as np

from gauss_vit.analysis.position import PositionAnalysis, analyse_position
from gauss_vit.commands.command import Invocation, say
from gauss_vit.commands.model_source import NamedModel, named_model
from gauss_vit.commands.position_reader import position_groups
from gauss_vit.commands.result_files import write_arrays, write_figure, write_record
from gauss_vit.plots.position import layers_figure, rows_figure, tables_figure


def run(invocation: Invocation) -> None:
    """Writes NAME_position.npz (`tables`), .json (fits) and three pictures to `--out`, for every stage of the model.

    Raises:
      ConfigError: a flag is wrong or missing, or the model has no position bias.
      CheckpointError: no checkpoint verifies.
      StorageError: the results cannot be written.
    """
    out = invocation.path("out")
    named = named_model(invocation)
    for stem, analysis in analyse(named).items():
        write_results(out / stem, named, analysis)
        median = np.median([fit.r_squared for fit in analysis.fits])
        say(
            f"{out / stem}.npz .json _tables.png _rows.png _layers.png: {analysis.depth} layers, median R2 {median:.3f}"
        )


def analyse(named: NamedModel) -> dict[str, PositionAnalysis]:
    """Computes the offset tables of every layer and fits a Gaussian to the central patch's row.

    Returns:
      The analysis of each group of blocks of equal shape, by the name of its files.

    Raises:
      ConfigError: the model has no position bias.
    """
    groups = position_groups(named.config, named.params)
    return {
        "_".join(part for part in (named.name, group.name, "position") if part): analyse_position(
            group.tables, grid=group.grid, learned=group.learned
        )
        for group in groups
    }


def write_results(path: Path, named: NamedModel, analysis: PositionAnalysis) -> None:
    """Writes tables, fits and pictures under a path without its ending."""
    height, width = analysis.grid
    tokens = tuple(dict.fromkeys(((0, 0), (0, min(1, width - 1)), analysis.token, (height - 1, width - 1))))
    title = path.name.removesuffix("_position")
    record = {"model": named.name, "step": named.step} | analysis.to_json()
    write_arrays(path.with_name(f"{path.name}.npz"), {"tables": analysis.tables})
    write_record(path.with_name(f"{path.name}.json"), record)
    write_figure(path.with_name(f"{path.name}_tables.png"), tables_figure(analysis, title=title))
    write_figure(path.with_name(f"{path.name}_rows.png"), rows_figure(analysis, tokens, layer=1, title=title))
    write_figure(path.with_name(f"{path.name}_layers.png"), layers_figure(analysis, title=title))
