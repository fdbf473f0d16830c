"""`show`: what a config would train, how it would be laid out and what it would cost, without training."""

import json

import jax

from gauss_vit.assembly import from_data
from gauss_vit.assembly.device import experiment_here
from gauss_vit.command_line.console import say
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.inspect.experiment_summary import cost_lines, parameter_table
from gauss_vit.inspect.layer_scale import initial_gains, layer_scale_hint
from gauss_vit.inspect.mesh_plan import check_fits, mesh_lines, planned_mesh


def run(invocation: Invocation) -> None:
    """Prints the resolved config, the parameter table, the mesh, the cost, and a hint where LayerScale hides a bias.

    Raises:
      ConfigError: `--config` is missing, or the batch or the heads do not divide among the devices.
      DataError: the config leaves a value to its data, and these are missing or damaged.
    """
    shown = from_data.complete(experiment_here(invocation.required_experiment())).experiment
    text = invocation.text("mesh") if invocation.is_given("mesh") else None
    devices = planned_mesh(shown.mesh, text, num_present=jax.device_count())
    check_fits(shown, devices)
    config = json.dumps(shown.to_json(), indent=2)
    tables = [*parameter_table(shown, devices), "", *mesh_lines(shown, devices), "", *cost_lines(shown, devices)]
    # Weights that a run starts from have gains of their own, which are not read here.
    hint = layer_scale_hint(shown.model, initial_gains(shown.network)) if shown.start is None else ""
    say("\n".join([config, "", *tables, *(["", hint] if hint else [])]))
