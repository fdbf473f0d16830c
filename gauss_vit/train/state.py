"""The train state: the step, the parameters and the optimizer's state, as one tree of arrays."""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import PRNGKeyArray, PyTree

from gauss_vit.compilation import jit_once
from gauss_vit.models import construct
from gauss_vit.models.attention import Attention
from gauss_vit.models.construct import Make
from gauss_vit.models.layer_position import PositionBias
from gauss_vit.models.predicted_gaussian import PredictedGaussian
from gauss_vit.models.rotation import Rotation
from gauss_vit.train.mesh import tree_shardings
from gauss_vit.tree import flatten_paths


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainState:
    """Everything that the next update depends on, besides the batch.

    Attributes:
      step: int32 scalar, number of updates made.
      params: Nested dict of float32 parameters, with running statistics among them where the network has some.
      opt_state: State of the gradient transformation.
      ema: Moving average of the parameters, or None where none is kept.
    """

    step: PyTree
    params: PyTree
    opt_state: PyTree
    ema: PyTree = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractModel:
    """A model as structure and shapes, without values.

    Attributes:
      graph: Graph definition, which `flax.nnx.merge` needs besides parameters.
      params: Nested dict of jax.ShapeDtypeStruct.
    """

    graph: nnx.GraphDef
    params: PyTree

    @property
    def num_heads(self) -> tuple[int, ...]:
        """Numbers of heads that the mesh axis `tensor` is to divide, by attention."""
        modules = (module for _, module in nnx.iter_graph(nnx.merge(self.graph, self.params)))
        return tuple(module.config.num_heads for module in modules if isinstance(module, Attention))

    @property
    def undecayed(self) -> tuple[str, ...]:
        """Paths of the parameters that the model's position information exempts from weight decay."""
        modules = nnx.iter_graph(nnx.merge(self.graph, self.params))
        positions = [
            (path, module)
            for path, module in modules
            if isinstance(module, PositionBias | Rotation | PredictedGaussian)
        ]
        return tuple(".".join((*map(str, path), name)) for path, module in positions for name in module.undecayed)

    @property
    def statistics(self) -> tuple[str, ...]:
        """Paths of the running statistics, which the network updates in training, and the optimizer never."""
        return tuple(flatten_paths(running_statistics(nnx.merge(self.graph, self.params))))


def running_statistics(network: nnx.Module) -> PyTree:
    """Returns the running statistics of a network, such as those of batch normalisation, as a nested dict.

    They are variables of the type `nnx.BatchStat`. In training a network computes with those of the batch, and writes
    the new running ones to its own variables, which only the function that merged the network sees.
    """
    return nnx.to_pure_dict(nnx.state(network, nnx.BatchStat))


def abstract_model(build: Make) -> AbstractModel:
    """Returns the structure of a model and the shapes of its parameters, without computing any."""
    graph, params = construct.abstract_of(build)
    return AbstractModel(graph=graph, params=params)


def abstract_state(params: PyTree, transform: optax.GradientTransformation) -> TrainState:
    """Returns the shapes and types of a train state, without shardings.

    Args:
      params: Nested dict of jax.ShapeDtypeStruct.
      transform: Optimizer.
    """
    return jax.eval_shape(lambda concrete: start(concrete, transform), params)


def init_state(
    build: Make, transform: optax.GradientTransformation, *, mesh: Mesh, seed: int, whole_below: int = 0
) -> TrainState:
    """Builds the state of step 0 with random parameters in one compiled function, each device only its own part.

    The numbers depend on the seed alone, not on the number of devices.

    Args:
      build: Function that makes the model.
      transform: Optimizer.
      mesh: Devices.
      seed: Seed of the run.
      whole_below: Number of elements below which an array is whole everywhere.
    """

    def init(key: PRNGKeyArray) -> TrainState:
        return start(construct.draw(build, key), transform)

    key = run_key(seed)
    shardings = tree_shardings(mesh, jax.eval_shape(init, key), whole_below=whole_below)
    return jit_once(init, out_shardings=shardings)(key)


def place_state(
    params: PyTree, transform: optax.GradientTransformation, *, mesh: Mesh, whole_below: int = 0
) -> TrainState:
    """Builds the state of step 0 from given parameters, each device only its own part.

    Args:
      params: Nested dict of arrays, the same in every process.
      transform: Optimizer.
      mesh: Devices.
      whole_below: Number of elements below which an array is whole everywhere.
    """

    def begin(given: PyTree) -> TrainState:
        return start(given, transform)

    shardings = tree_shardings(mesh, jax.eval_shape(begin, params), whole_below=whole_below)
    return jax.jit(begin, out_shardings=shardings)(params)


def run_key(seed: int) -> PRNGKeyArray:
    """Returns the key of a run: always threefry, whose numbers do not depend on devices or versions."""
    return jax.random.key(seed, impl="threefry2x32")


def start(params: PyTree, transform: optax.GradientTransformation) -> TrainState:
    """Builds the state of step 0 from parameters."""
    with jax.numpy_dtype_promotion("standard"):
        opt_state = transform.init(params)
    return TrainState(step=jnp.zeros((), jnp.int32), params=params, opt_state=opt_state)
