"""The train state: the step, the parameters and the optimizer's state, as one tree of arrays."""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import PRNGKeyArray, PyTree

from gauss_vit.models import construct
from gauss_vit.models.attention import PositionBias
from gauss_vit.models.construct import Make
from gauss_vit.train.mesh import tree_shardings


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainState:
    """Everything that the next update depends on, besides the batch.

    Attributes:
      step: int32 scalar, number of updates made.
      params: Nested dict of float32 parameters.
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
    def undecayed(self) -> tuple[str, ...]:
        """Paths of the parameters that the model's position terms exempt from weight decay."""
        modules = nnx.iter_graph(nnx.merge(self.graph, self.params))
        biases = [(path, module) for path, module in modules if isinstance(module, PositionBias)]
        return tuple(".".join((*map(str, path), name)) for path, module in biases for name in module.undecayed)


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


def init_state(build: Make, transform: optax.GradientTransformation, *, mesh: Mesh, seed: int) -> TrainState:
    """Builds the state of step 0 with random parameters in one compiled function, each device only its own part.

    The numbers depend on the seed alone, not on the number of devices.
    """

    def init(key: PRNGKeyArray) -> TrainState:
        return start(construct.draw(build, key), transform)

    key = run_key(seed)
    shardings = tree_shardings(mesh, jax.eval_shape(init, key))
    return jax.jit(init, out_shardings=shardings)(key)


def place_state(params: PyTree, transform: optax.GradientTransformation, *, mesh: Mesh) -> TrainState:
    """Builds the state of step 0 from given parameters, each device only its own part.

    Args:
      params: Nested dict of arrays, the same in every process.
      transform: Optimizer.
      mesh: Devices.
    """

    def begin(given: PyTree) -> TrainState:
        return start(given, transform)

    return jax.jit(begin, out_shardings=tree_shardings(mesh, jax.eval_shape(begin, params)))(params)


def run_key(seed: int) -> PRNGKeyArray:
    """Returns the key of a run: always threefry, whose numbers do not depend on devices or versions."""
    return jax.random.key(seed, impl="threefry2x32")


def start(params: PyTree, transform: optax.GradientTransformation) -> TrainState:
    """Builds the state of step 0 from parameters."""
    with jax.numpy_dtype_promotion("standard"):
        opt_state = transform.init(params)
    return TrainState(step=jnp.zeros((), jnp.int32), params=params, opt_state=opt_state)
