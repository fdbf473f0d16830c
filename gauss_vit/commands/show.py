"""`show`: what a config would train, how it would be laid out and what it would cost, without training."""

import json

import jax

from gauss_vit.assembly import from_data
from gauss_vit.assembly.device import experiment_here
from gauss_vit.command_line.console import say
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.inspect.experiment_summary import cost_lines, parameter_table
from gauss_vit.train import mesh


def run(invocation: Invocation) -> None:
    """Prints the resolved config, the parameter table, and the cost.

    Raises:
      ConfigError: `--config` is missing, or the batch size does not fit the devices.
      DataError: the config leaves a value to its data, and these are missing or damaged.
    """
    shown = from_data.complete(experiment_here(invocation.required_experiment()))
    num_devices = invocation.integer("mesh")
    devices = mesh.make_abstract(shown.mesh, jax.device_count() if num_devices is None else num_devices)
    mesh.check_batch_size("training.batch_size", shown.training.batch_size, devices)
    config = json.dumps(shown.to_json(), indent=2)
    say("\n".join([config, "", *parameter_table(shown, devices), "", *cost_lines(shown, devices)]))
