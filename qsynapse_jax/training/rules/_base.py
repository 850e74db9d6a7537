"""What a learning rule is."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from flax import nnx
from jaxtyping import PRNGKeyArray

from qsynapse_jax._fields import Model
from qsynapse_jax.nn import Outer, crossbar_layers


class AbstractRule(Model):
    """How the matrices of a model learn in place, from the two factors of every presentation.

    A rule is given to `training.init` in the place of an Optax transformation and runs in the same loop. Its declared
    numbers are part of the training state, so they may be swept.
    """

    @abstractmethod
    def init(self, model: nnx.Module) -> Any:
        """What the rule remembers from step to step: a tree of arrays.

        Raises:
            ValueError: a model without what the rule moves.
        """

    @abstractmethod
    def update(
        self, model: nnx.Module, rule_state: Any, outer: Mapping[str, Outer], key: PRNGKeyArray
    ) -> tuple[nnx.Module, Any]:
        """The model and the memory of the rule after the presentations of one step.

        Args:
            model: a copy, which may be changed in place.
            rule_state: as `init` or the last update gave it.
            outer: by the path of every layer on crossbars, e.g. "layers/0" (`nn.crossbar_layers`), what its word lines
                receive, `x` (n, rows), and what its bit lines receive, `delta` (n, cols), for n presentations; the
                slope of the loss in the matrix is `x.T @ delta`.
            key: a new one every step.
        """

    def sent(self, model: nnx.Module, rule_state: Any, outer: Mapping[str, Outer], key: PRNGKeyArray) -> dict[str, Any]:
        """What `update` would send to arrays for these arguments: arguments of `Pulses.of`, by path of the layer.

        Raises:
            ValueError: a rule that does not say.
        """
        raise ValueError(
            "Argument `state` must be of a rule that says which pulses it sends, `AnalogSGD`, `CoarseToFine`, "
            f"`TikiTaka` or `AGAD`, but is of `{type(self).__name__}`."
        )

    def remark(self, rule_state: Any) -> str:
        """What a user should know of the run until now, as a warning after an epoch; empty by default."""
        return ""


def kernels_of(model: nnx.Module, kind: type, wanted: str, remedy: str) -> dict[str, Any]:
    """The kernels of a model by path, all of one kind, or a `ValueError` that says what is wanted and what to do."""
    found = {path: layer.kernel for path, layer in crossbar_layers(model).items()}
    other = [path for path, kernel in found.items() if not isinstance(kernel, kind)]
    if other or not found:
        what = f"{other[0]!r} has none" if other else "it has no layer on crossbars"
        raise ValueError(f"Argument `model` must have {wanted}, but {what}; {remedy}.")
    return found
