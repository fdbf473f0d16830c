"""A process that evaluates splits of 0, 1, ... examples with others; run by the tests of runs.

Arguments: the choice of `--distributed`, and the largest number of examples.
"""

import dataclasses
import json
import sys

import jax

from gauss_vit.assembly import feeds
from gauss_vit.distributed import start
from gauss_vit.errors import DataError
from gauss_vit.experiment import Experiment
from gauss_vit.metrics.metric import Collector
from gauss_vit.train import evaluation, mesh
from gauss_vit.train.program import Program, fresh_state, make_program
from tests import tiny_config


def measure(experiment: Experiment, program: Program, params: object, num_examples: int) -> dict[str, float] | str:
    """Returns the metrics on the first test images, or the code of the error."""
    (evaluator,) = experiment.evaluators
    data = dataclasses.replace(experiment.data, eval_split=f"test[:{num_examples}]")
    shown = dataclasses.replace(experiment, data=data)
    batch_size = experiment.training.eval_batch_size
    collector: Collector = evaluator.measure.collector(None)
    try:
        source = feeds.open_split(shown, data.eval_split)
        share = mesh.share_of_process(program.mesh)
        evaluation.evaluate(
            program.eval_steps[evaluator.measure],
            params,
            feeds.eval_batches(shown, source, batch_size=batch_size, share=share),
            collector=collector,
            mesh=program.mesh,
            batch_size=batch_size,
            should_stop=lambda: False,
        )
    except DataError as error:
        return error.code
    return dict(collector.compute())


if __name__ == "__main__":
    start.start(sys.argv[1], platform="cpu")
    tiny = dataclasses.replace(
        tiny_config.get_config(), training=dataclasses.replace(tiny_config.TRAINING, eval_batch_size=8)
    )
    made = make_program(tiny)
    drawn = fresh_state(tiny, made).params
    rows = [measure(tiny, made, drawn, count) for count in range(int(sys.argv[2]) + 1)]
    sys.stdout.write(json.dumps({"devices": jax.device_count(), "rows": rows}) + "\n")
    sys.stdout.flush()
    start.leave(0)
