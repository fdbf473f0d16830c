"""`position`: the position biases of a model as tables, Gaussian fits and pictures."""

from pathlib import Path

import numpy as np

from gauss_vit.analysis.position import PositionAnalysis, analyse_position
from gauss_vit.commands.command import Invocation, say
from gauss_vit.commands.feature_reader import learned_gaussian, position_tables
from gauss_vit.commands.model_source import NamedModel, named_model
from gauss_vit.commands.result_files import write_arrays, write_figure, write_record
from gauss_vit.plots.position import layers_figure, rows_figure, tables_figure


def run(invocation: Invocation) -> None:
    """Writes NAME_position.npz (`tables`), .json (fits) and three pictures to `--out`.

    Raises:
      ConfigError: a flag is wrong or missing, or the model has no position bias.
      CheckpointError: no checkpoint verifies.
      StorageError: the results cannot be written.
    """
    out = invocation.path("out")
    named = named_model(invocation)
    analysis = analyse(named)
    write_results(out, named, analysis)
    median = np.median([fit.r_squared for fit in analysis.fits])
    path = out / f"{named.name}_position"
    say(f"{path}.npz .json _tables.png _rows.png _layers.png: {analysis.depth} layers, median R2 {median:.3f}")


def analyse(named: NamedModel) -> PositionAnalysis:
    """Computes the offset tables of every layer and fits a Gaussian to the central patch's row.

    Raises:
      ConfigError: the model has no position bias.
    """
    tables = position_tables(named.graph, named.params)
    learned = learned_gaussian(named.config, named.params)
    return analyse_position(tables, grid=named.config.grid, learned=learned)


def write_results(out: Path, named: NamedModel, analysis: PositionAnalysis) -> None:
    """Writes tables, fits and pictures."""
    name = f"{named.name}_position"
    height, width = analysis.grid
    tokens = tuple(dict.fromkeys(((0, 0), (0, min(1, width - 1)), analysis.token, (height - 1, width - 1))))
    write_arrays(out / f"{name}.npz", {"tables": analysis.tables})
    write_record(out / f"{name}.json", {"model": named.name, "step": named.step} | analysis.to_json())
    write_figure(out / f"{name}_tables.png", tables_figure(analysis, title=named.name))
    write_figure(out / f"{name}_rows.png", rows_figure(analysis, tokens, layer=1, title=named.name))
    write_figure(out / f"{name}_layers.png", layers_figure(analysis, title=named.name))
