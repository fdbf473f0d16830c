"""The operations of an experiment's model, and the utilisation that its speed is given as."""

import dataclasses
from collections.abc import Sequence

from gauss_vit.experiment import Experiment
from gauss_vit.models import construct
from gauss_vit.train import cost
from gauss_vit.train.cost import ImageFlops
from gauss_vit.train.state import AbstractModel
from gauss_vit.train.utilization import Utilization, peak_flops


def model_flops(experiment: Experiment) -> ImageFlops:
    """Counts the operations of one image, those of the reference kernel: what others recompute is not of the model."""
    compute = dataclasses.replace(experiment.model.compute, kernel="reference")
    reference = dataclasses.replace(experiment.network, backbone=dataclasses.replace(experiment.model, compute=compute))
    graph, params = construct.abstract(reference)
    return cost.image_flops(AbstractModel(graph=graph, params=params), experiment.model.image_size)


def utilization(experiment: Experiment, device_kinds: Sequence[str]) -> Utilization | None:
    """Returns what the speed on some devices is compared with; None where the peak of one is not known.

    Rematerialisation is left out as well. Nothing is traced where there is no peak.
    """
    peak = peak_flops(device_kinds)
    if peak is None:
        return None
    compute = dataclasses.replace(experiment.model.compute, remat="none")
    plain = dataclasses.replace(experiment, model=dataclasses.replace(experiment.model, compute=compute))
    return Utilization(flops_per_image=model_flops(plain).backward, peak_flops=peak)
