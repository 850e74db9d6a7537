"""What can be set of a network that learns in place."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp

from qsynapse_jax._fields import quantity
from qsynapse_jax.crossbar import Wires
from qsynapse_jax.studies._config import check_sizes, is_large
from qsynapse_jax.studies._in_place import RULES, InPlaceRule, build_device, known
from qsynapse_jax.tile import Tile, analog
from qsynapse_jax.training import Decaying, rules, sgd

ACTIVATIONS = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid}
# Presentations between two reads of a row of the fast array, in rules that read one.
_EVERY = 2


@dataclass(frozen=True)
class InsituConfig:
    """Train a network inside its arrays: every device is moved by pulses, as a learning rule sends them."""

    rule: str = "agad"
    """Learning rule: sgd, coarse-to-fine (the hybrid synapse), tiki-taka, agad, residual (finest array first), rider or
    mixed-precision."""
    device: str = "soft-bounds"
    """Device of every weight: a law (soft-bounds, linear, constant, exponential, power), a preset (cmo-hfox,
    cmo-hfox-skewed, cmo-hfox-symmetric, mo-tiox, reram-es, reram-sb, reram-array-om, reram-array-hfo2, ecram,
    capacitor, gokmen-vlasov, idealized), or a .csv file of measured conductance against pulse number."""
    dataset: str = "digits"
    """digits (offline), mnist, fashion_mnist, or an .npz file of one's own: arrays x_train, y_train, x_test and y_test,
    inputs from -1 to 1 or bytes of pixels, classes from 0."""
    hidden: tuple[int, ...] | None = None
    """Hidden layer sizes; 256 128 for mnist and fashion_mnist and 32 for others where not given."""
    activation: str = "relu"
    """Between the layers: relu or sigmoid."""
    epochs: int | None = None
    """Passes over the training set; 3 for mnist and fashion_mnist and 10 for others where not given."""
    batch_size: int = 1
    """Samples that are read before the arrays are pulsed for each of them."""
    learning_rate: float = 0.05
    """Of the matrix, whose weights are those of the devices; biases, scales and the float network have the same."""
    decay: float = 0.9
    """Factor of the learning rate after every epoch."""
    train_images: int | None = None
    """Train with so many images only; all where not given."""
    states: float | None = None
    """Range of the device by its mean step; 50 for a law, and a preset's own, where not given."""
    dw_min: float | None = None
    """Mean step of the device at weight 0, in place of states."""
    spread: float | None = None
    """Spread of steps and bounds from device to device, relative; 0.2 for a law where not given."""
    asymmetry: float | None = None
    """Spread of the difference of steps up and down, relative; 0.1 for a law where not given."""
    noise: float | None = None
    """Noise of a step from pulse to pulse, relative; 0 for a law where not given."""
    train_length: int | None = None
    """Pulses of a train at most; the rule's own (31, or 5 of a fast array) where not given."""
    gains: tuple[float, ...] | None = None
    """Gain of each array of a matrix; of coarse-to-fine 1 and 0.04 where not given."""
    switch: tuple[float, ...] | None = None
    """Of coarse-to-fine: epochs after which the next array learns; equal parts of the run where not given."""
    every: int | None = None
    """Of tiki-taka, agad, residual and rider: presentations between two reads of a row of the fast array; 2 where not
    given."""
    cycle: int | None = None
    """Of residual: steps in which all rows of the finest array are read once, in place of every."""
    carry: bool = False
    """Of residual: take what an array hands on off it, as digits of a number do; for devices with steps that hardly
    depend on the weight. Then gains should stand to each other as a step to a range, or somewhat closer."""
    r_wire: float = 0.0
    """Resistance of a word-line and of a bit-line segment [ohm]; 0 leaves wires out. Circuits are solved for every
    batch: give a larger batch size."""
    tile_shape: tuple[int, ...] = (64, 64)
    """Word lines and bit lines of a tile; one number is a square tile."""
    seed: int = 0
    """Seed of everything random."""

    def __post_init__(self):
        choices = (("rule", RULES), ("activation", ACTIVATIONS))
        for name, among in choices:
            object.__setattr__(self, name, known(getattr(self, name), among, name))
        for name in ("epochs", "batch_size", "train_images", "every", "cycle", "train_length"):
            value = self.passes if name == "epochs" else getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"Argument `{name}` must be at least 1, but is {value}.")
        if not 0 <= self.r_wire < math.inf:
            raise ValueError(f"Argument `r_wire` must be non-negative and finite [ohm], but is {self.r_wire}.")
        if len(self.tile_shape) not in (1, 2) or min(self.tile_shape) < 1:
            raise ValueError(f"Argument `tile_shape` must be one or two positive integers, but is {self.tile_shape}.")
        object.__setattr__(self, "tile_shape", (self.tile_shape[0], self.tile_shape[-1]))
        check_sizes(self.hidden_sizes)
        self._check_arrays()
        # Built once here, so that what is wrong with them is said before any training.
        self.learning(1)
        self.tile()

    def _check_arrays(self) -> None:
        """Options that the rule has no use for, and arrays that do not fit it."""
        needs = {"switch": "switch", "every": "every", "cycle": "cycle", "carry": "carry", "train_length": "trains"}
        for option, argument in needs.items():
            if getattr(self, option) not in (None, False) and not self._rule.has(argument):
                others = [name for name, rule in RULES.items() if rule.has(argument)]
                which = f"rule{'s' if len(others) > 1 else ''} {', '.join(others)}"
                raise ValueError(f"Argument `{option}` is for the {which}; {self.rule} has no use for it.")
        usual, given = self._rule.gains, self.array_gains
        if len(given) < len(usual) or (len(given) > len(usual) and not self._rule.is_open):
            many = f"{len(usual)} numbers or more" if self._rule.is_open else f"as many numbers as {usual}"
            raise ValueError(f"Argument `gains` must hold {many} for the rule {self.rule}, but is {given}.")
        if not (min(given) >= 0 and 0 < max(given) < math.inf):
            raise ValueError(f"Argument `gains` must hold numbers of at least 0, one of them above, but is {given}.")
        if self.cycle is not None and self.every is not None:
            raise ValueError(
                f"Arguments `cycle` and `every` say the same, so that one of them must go, but are {self.cycle} and "
                f"{self.every}."
            )
        if self.carry and not (given[0] > 0 and list(given) == sorted(given)):
            raise ValueError(
                f"Argument `gains` must hold positive numbers in ascending order for a carry, but is {given}."
            )
        if self._rule.has("switch") and len(self.switches) != len(given) - 1:
            raise ValueError(
                f"Argument `switch` must hold one number less than there are arrays, {len(given) - 1}, but is "
                f"{self.switches}."
            )
        if self._rule.has("switch") and not (min(self.switches) > 0 and list(self.switches) == sorted(self.switches)):
            raise ValueError(f"Argument `switch` must hold positive epochs in ascending order, but is {self.switches}.")

    @property
    def _rule(self) -> InPlaceRule:
        return RULES[self.rule]

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """Hidden layer sizes, those that suit the data set where none were given."""
        return self.hidden if self.hidden is not None else ((256, 128) if is_large(self.dataset) else (32,))

    @property
    def passes(self) -> int:
        """Epochs, likewise."""
        return self.epochs if self.epochs is not None else (3 if is_large(self.dataset) else 10)

    @property
    def array_gains(self) -> tuple[float, ...]:
        """Gains of the arrays of a matrix, likewise."""
        return self._rule.gains if self.gains is None else self.gains

    @property
    def array_names(self) -> tuple[str, ...]:
        """What the arrays of a matrix are called, with their gains; of a single one nothing has to be said."""
        gains = self.array_gains
        names = self._rule.arrays or tuple(f"array {k + 1}" for k in range(len(gains)))
        named = tuple(f"{name} (gain {gain:g})" for name, gain in zip(names, gains, strict=True))
        return named if len(gains) > 1 else ("",)

    @property
    def switches(self) -> tuple[float, ...]:
        """Epochs after which the next array learns, likewise."""
        arrays = len(self.array_gains)
        return tuple(self.passes * k / arrays for k in range(1, arrays)) if self.switch is None else self.switch

    def learning(self, steps: int) -> tuple[Decaying, Any]:
        """The rule of the arrays and that of the digital parameters, for so many steps per epoch."""
        options: dict[str, Any] = {}
        if self._rule.has("arrays"):
            options["arrays"] = len(self.array_gains)
        if self._rule.has("every"):
            options["every"] = self.every or _EVERY
        if self._rule.has("switch"):
            presentations = steps * self.batch_size
            options["switch"] = tuple(max(1, round(presentations * epochs)) for epochs in self.switches)
        if self.cycle is not None:
            options["cycle"] = self.cycle
        rate = self.learning_rate
        if self.carry:
            gains = self.array_gains
            # Of two arrays their ratio; of more the smallest one, so that none hands on more than it holds.
            transfer = min(fine / coarse for fine, coarse in pairwise(gains))
            options |= {"carry": True, "nearest": True, "transfer": transfer}
            # The rule's is in units of the finest array.
            rate /= gains[0]
        if self.train_length is not None:
            options["trains"] = rules.PulseTrains(length=self.train_length)
        rule = self._rule.rule(rate, **options)
        return Decaying(rule, self.decay, steps), sgd(self.learning_rate, decay=self.decay, every=steps)

    def physical_device(self) -> Any:
        """The device of every weight."""
        names = ("states", "dw_min", "spread", "asymmetry", "noise")
        return build_device(self.device, {name: getattr(self, name) for name in names})

    def tile(self) -> Tile:
        """The tiles of every array."""
        wires = Wires(r_word=self.r_wire, r_bit=self.r_wire) if self.r_wire > 0 else None
        tile = analog(self.physical_device(), wires=wires, shape=(self.tile_shape[0], self.tile_shape[-1]))
        # Python's numbers are weakly typed until a network is trained: it would be compiled once more for that.
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, leaf.dtype), tile)

    def hardware(self) -> list[str]:
        """The physical setting in words: rule, device, wires, tiles."""
        device = self.physical_device()
        low, high, step = (float(x) for x in (device.w_min, device.w_max, device.mean_step))
        arrays = " and ".join(filter(None, self.array_names)) or "one array"
        spreads = ", ".join(f"{100 * float(getattr(device, name)):.3g} % {words}" for name, words in _SPREADS.items())
        wires = f"{self.r_wire:g} ohm per segment" if self.r_wire > 0 else "ideal"
        carry = " with a carry" if self.carry else ""
        return [
            f"rule:   {self.rule}{carry}; {arrays} per matrix,",
            f"        learning rate {self.learning_rate:g}, times {self.decay:g} after every epoch",
            f"device: {self.device}, {low:.3g} to {high:.3g} in {(high - low) / step:,.0f} steps of {step:.3g},",
            f"        {quantity(float(device.g_min), 'S')} to {quantity(float(device.g_max), 'S')}; {spreads}",
            f"wires:  {wires}",
            f"tile:   {self.tile_shape[0]} word lines x {self.tile_shape[-1]} bit lines",
        ]


_SPREADS = {"dw_min_dtod": "spread of steps", "up_down_dtod": "of their asymmetry", "dw_min_std": "noise of a step"}
