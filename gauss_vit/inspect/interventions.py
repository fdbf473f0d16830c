"""Named models with their position information changed."""

import dataclasses

from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.models import construct
from gauss_vit.train.state import run_key
from gauss_vit.weights.intervention import Intervention, intervene

_DRAWS = ("reinit", "paper_code")


def intervened(named: NamedModel, name: Intervention, *, seed: int) -> NamedModel:
    """Gives a model with its position information changed, under the name MODEL_INTERVENTION.

    Args:
      named: the model.
      name: what to do; `none` gives the model itself.
      seed: of what is drawn anew; it joins the name where it is not 0 and something may be drawn.

    Raises:
      ConfigError: the model has nothing that the intervention could change.
    """
    config, params = intervene(named.config, named.params, name, key=run_key(seed))
    if name == "none":
        return named
    draws = name in _DRAWS
    return dataclasses.replace(
        named,
        name=f"{named.name}_{name}_seed-{seed}" if draws and seed else f"{named.name}_{name}",
        config=config,
        graph=construct.abstract(dataclasses.replace(named.network, backbone=config))[0],
        params=params,
        intervention=name,
        intervention_seed=seed if draws else None,
    )
