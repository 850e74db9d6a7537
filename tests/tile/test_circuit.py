"""A matrix of weights on tiles: the circuit of every tile, and what the matrix amounts to behind its wires."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from qsynapse_jax.tile import _circuit
from tests.crossbar.nodal import nodal_solve
from tests.crossbar.problems import load_golden
from tests.tile.blocks import blocks, nodal_effective

pytestmark = pytest.mark.usefixtures("x64")

Differential, Ladder, Multilevel = qs.cells.Differential, qs.cells.Ladder, qs.cells.Multilevel
Tile, Wires = qs.tile.Tile, qs.crossbar.Wires

WIRES = {"r_word": 7.0, "r_bit": 21.0, "r_driver": 30.0, "r_sense": 50.0}
SHAPE, TILE = (7, 10), (3, 4)
ROUNDING = 1e-11  # relative to the largest conductance; the solve ends at 1e-13 of the drive


def signed_cell():
    return Differential(Ladder(3, 10e3, 500.0, 500e3))


def tiled(wires=WIRES, shape=TILE, cell=None):
    return Tile(cell or signed_cell(), None if wires is None else Wires(**wires), shape=shape)


@eqx.filter_jit
def written(tile, w):
    """What a tile makes of weights, compiled as one: operation by operation takes longer to compile than to test."""
    g, code = tile.levels(w), tile.cell.encode(w)
    on = {
        "targets": tile.cell.conductance(code),
        "decoded": tile.cell.decode(code),
        "at_0": tile.cell.conductance(0 * code),
    }
    return on | {"lines": tile.cell.realise(w), "levels": g, "weights": tile.weights(g)}


def some_cells(shape=SHAPE, seed=0):
    return jnp.asarray(10 ** np.random.default_rng(seed).uniform(-6, -3.5, shape))


def some_weights(shape=(7, 5), seed=1):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape))


@pytest.mark.parametrize(
    "tile", [TILE, *(pytest.param(tile, marks=pytest.mark.slow) for tile in [(4, 6), (64, 64)])], ids=str
)
def test_every_tile_is_the_circuit_of_its_block(tile):
    """Against a nodal solve of the blocks as they are, without padding: a padded tile is exactly the smaller array."""
    g = some_cells()
    g_eff = tiled(shape=tile).effective(g)
    np.testing.assert_allclose(
        g_eff, nodal_effective(np.asarray(g), tile, WIRES), rtol=0, atol=ROUNDING * float(g.max())
    )


def test_currents_of_tiles_above_one_another_add_up():
    g, v, tile = np.asarray(some_cells()), np.random.default_rng(2).uniform(-0.2, 0.2, (3, SHAPE[0])), TILE
    i_out = np.zeros((3, SHAPE[1]))
    for _, rows, columns in blocks(SHAPE, tile):
        for i, v_in in enumerate(v[:, rows]):
            i_out[i, columns] += nodal_solve(g[rows, columns], v_in, **WIRES).i_out
    g_eff = np.asarray(tiled().effective(jnp.asarray(g)))
    np.testing.assert_allclose(i_out, v @ g_eff, rtol=0, atol=ROUNDING * np.abs(i_out).max())


@pytest.mark.slow
def test_more_tiles_than_are_solved_at_once():
    """Five tiles of 64 x 64: one more than a batch holds."""
    g = some_cells((64, 320))
    wires = Wires(r_word=1.0, r_bit=2.0)
    g_eff = Tile(Multilevel(2, 0.0, 1.0), wires).effective(g)
    last = qs.crossbar.effective_conductance(g[:, 256:], wires)
    first = qs.crossbar.effective_conductance(g[:, :64], wires)
    np.testing.assert_allclose(g_eff[:, 256:], last, rtol=0, atol=ROUNDING * float(g.max()))
    np.testing.assert_allclose(g_eff[:, :64], first, rtol=0, atol=ROUNDING * float(g.max()))


def test_no_wires_and_wires_of_no_resistance_are_the_same():
    g = some_cells()
    np.testing.assert_array_equal(tiled(wires=None).effective(g), g)
    np.testing.assert_allclose(tiled(wires={}).effective(g), g, rtol=1e-14)


def test_a_weight_is_two_neighbouring_bit_lines():
    """Plus, minus, plus, minus, ...: so both stand at nearly the same place behind the wires."""
    array = tiled()
    found = written(array, some_weights())
    (plus, minus), g = found["lines"], np.asarray(found["levels"])
    assert array.cell.lines == 2
    assert g.shape == (7, 10)
    np.testing.assert_array_equal(g[:, 0::2], plus)
    np.testing.assert_array_equal(g[:, 1::2], minus)


def test_a_unipolar_weight_is_one_bit_line():
    array = tiled(cell=Ladder(3, 10e3, 500.0, 500e3), wires=None)
    found = written(array, jnp.abs(some_weights()))
    np.testing.assert_array_equal(found["levels"], found["lines"][0])


@pytest.mark.filterwarnings("ignore:A ladder R, 2R, 4R:UserWarning")
@pytest.mark.parametrize("kind", ["unipolar", pytest.param("differential", marks=pytest.mark.slow)])
def test_with_ideal_wires_written_weights_are_read_back(kind):
    """What a cell on one bit line conducts at code 0 is subtracted; a differential one cancels it."""
    one = Ladder(2, 10e3, 5e3, 80e3)
    cell = one if kind == "unipolar" else Differential(one)
    array, w = Tile(cell, shape=TILE), some_weights()
    found = written(array, w)
    expected = np.asarray(found["decoded"])
    assert float(found["at_0"].max()) > 1e-5
    assert len(np.unique(expected)) > 3
    np.testing.assert_allclose(found["weights"], expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(eqx.filter_jit(array.realise)(w), expected, rtol=0, atol=1e-14)


def test_the_effective_weight_is_the_difference_of_measured_currents():
    """Read voltage on one word line after the other, bit-line currents subtracted by hand, in units of the span."""
    one, w = Ladder(3, 10e3, 500.0, 500e3), some_weights()
    array = tiled(cell=Differential(one))
    found = written(array, w)
    lines = np.empty((7, 10))
    lines[:, 0::2], lines[:, 1::2] = found["targets"]
    i_out = nodal_effective(lines, TILE, WIRES)
    low, high = np.asarray(jax.jit(lambda: one.conductance(jnp.asarray([0, 7])))())[0]
    span = high - low
    expected = (i_out[:, 0::2] - i_out[:, 1::2]) / span
    assert np.abs(expected - found["decoded"]).max() > 0.01
    np.testing.assert_allclose(array.realise(w), expected, rtol=0, atol=ROUNDING)


def test_derivatives_in_cells_and_wires_are_those_of_finite_differences():
    """Through tiles, padded ones among them, in float64 and in the relative change of every number."""
    g, weights = some_cells(), jnp.asarray(np.random.default_rng(3).normal(size=SHAPE))
    r = {name: jnp.asarray(value) for name, value in WIRES.items()}

    @jax.jit
    def loss(log_g, log_r):
        wires = Wires(**{name: r[name] * jnp.exp(log_r[name]) for name in r})
        g_eff = Tile(signed_cell(), wires, shape=TILE).effective(g * jnp.exp(log_g))
        return 1e4 * jnp.sum(weights * g_eff)

    at = (jnp.zeros(SHAPE), {name: jnp.asarray(0.0) for name in r})
    in_g, in_r = jax.jit(jax.grad(loss, argnums=(0, 1)))(*at)
    step = 1e-5
    # Rounding 1e-13 of currents over the step, and its square times the third derivative: both below 1e-8.
    for index in [(0, 0), (0, 9), (3, 4), (6, 0), (6, 9), (2, 7)]:
        up, down = (loss(at[0].at[index].set(h), at[1]) for h in (step, -step))
        np.testing.assert_allclose(in_g[index], (up - down) / (2 * step), rtol=0, atol=1e-7)
    for name in r:
        up, down = (loss(at[0], at[1] | {name: jnp.asarray(h)}) for h in (step, -step))
        assert abs(in_r[name]) > 1e-4
        np.testing.assert_allclose(in_r[name], (up - down) / (2 * step), rtol=0, atol=1e-7)


def test_tiles_of_different_wires_in_one_call():
    g = some_cells()

    def effective(r_word):
        return Tile(signed_cell(), Wires(r_word=r_word, r_bit=3.0), shape=TILE).effective(g)

    together = jax.jit(jax.vmap(effective))(jnp.asarray([1.0, 20.0]))
    for r_word, g_eff in zip((1.0, 20.0), together, strict=True):
        expected = nodal_effective(np.asarray(g), TILE, {"r_word": r_word, "r_bit": 3.0})
        np.testing.assert_allclose(g_eff, expected, rtol=0, atol=ROUNDING * float(g.max()))


def test_what_cannot_be_solved_is_not_a_number_or_an_error():
    bad = some_cells().at[5, 6].set(-1e-5)
    array = tiled()
    g_eff = np.asarray(array.effective(bad, throw=False))
    in_bad_tile = np.zeros(SHAPE, bool)
    in_bad_tile[4:7, 4:8] = True
    np.testing.assert_array_equal(np.isnan(g_eff), in_bad_tile)
    with pytest.raises(Exception, match="Argument `g` must be non-negative, but"):
        array.effective(bad)


def test_cells_of_equal_lines_share_one_compiled_circuit():
    """What is compiled is a function of conductances, wires and the shape of a tile, whatever they belong to."""
    g = some_cells((5, 6))
    before = circuits_compiled()
    for cell in (signed_cell(), Differential(Multilevel(9, 1e-6, 1e-4)), qs.cells.Sliced(Multilevel(3, 0.0, 1e-4), 2)):
        tiled(cell=cell).effective(g)
    assert circuits_compiled() == before + 1


def circuits_compiled():
    return _circuit._effective._cached._cache_size()


def physical(g, wires, shape):
    """The whole tile, what the matrix leaves free open: away from the drivers and from the sense amplifiers."""
    (rows, cols), (wl, bl) = g.shape, shape
    whole = jnp.pad(g, ((wl - rows, 0), (0, bl - cols)))
    return qs.crossbar.effective_conductance(whole, wires)[wl - rows :, :cols]


BROKEN = [7.0, 7.0, np.inf, 7.0, 7.0, 7.0]
BY_LINE = {"r_word": 3.0 * np.arange(1, 7), "r_bit": np.arange(8.0), "r_driver": 5.0 * np.arange(8), "r_sense": 9.0}


@pytest.mark.parametrize(
    "wires",
    [
        {"r_word": 7.0, "r_bit": 21.0, "r_driver": 50.0, "r_driver_far": 50.0},
        pytest.param({"r_word": 7.0, "r_bit": 21.0, "r_sense_far": 5.0}, marks=pytest.mark.slow),
        BY_LINE,
        pytest.param({"r_word": np.array(BROKEN), "r_bit": 21.0}, marks=pytest.mark.slow),
    ],
    ids=["driven_from_both_ends", "sensed_at_both_ends", "line_by_line", "broken"],
)
def test_a_matrix_smaller_than_its_tile_lies_on_the_whole_tile_where_that_matters(wires):
    """Far ends are beyond the unused lines; wires are given for the lines of the tile; some segment may be broken."""
    # Two tiles, one of them partly filled, and neither in all columns: each is the physical one.
    g, wires = some_cells((11, 3)), Wires(**wires)
    g_eff = Tile(Multilevel(2, 0.0, 1e-4), wires, shape=(8, 6)).effective(g)
    np.testing.assert_allclose(g_eff[3:], physical(g[3:], wires, (8, 6)), rtol=0, atol=ROUNDING * float(g.max()))
    np.testing.assert_allclose(g_eff[:3], physical(g[:3], wires, (8, 6)), rtol=0, atol=ROUNDING * float(g.max()))


@pytest.mark.slow
def test_the_tile_of_64_lines_that_was_found_10_percent_off():
    with jax.enable_x64(False):
        g = some_cells((64, 20)).astype(jnp.float32)
        wires = Wires(7.0, 21.0, r_driver=50.0, r_driver_far=50.0)
        g_eff = Tile(Multilevel(2, 0.0, 1e-4), wires).effective(g)
        np.testing.assert_allclose(g_eff, physical(g, wires, (64, 64)), rtol=0, atol=2e-6 * float(g.max()))


def test_a_stack_of_matrices_is_as_many_tiles():
    g = jnp.stack([some_cells(seed=1), some_cells(seed=2)])
    one = tiled().effective(g[1])
    np.testing.assert_allclose(tiled().effective(g)[1], one, rtol=0, atol=ROUNDING * float(g.max()))


@pytest.mark.parametrize(
    "name",
    ["square_8x8", *(pytest.param(n, marks=pytest.mark.slow) for n in ("tall_32x16_unequal", "batch8_bipolar_32x32"))],
)
def test_a_golden_circuit_through_a_tile(name):
    """Currents of ngspice from `read`: the sum of currents is weight times span, and what stands for 0 added again."""
    case = load_golden(name)
    g, v, wires = case.problem.cast(np.float64)
    cell = Multilevel(2, 0.0, 1e-3)
    tile = Tile(cell, wires)
    state = tile.init(g.shape, key=jax.random.key(0))
    state = eqx.tree_at(lambda state: state.devices, state, jnp.asarray(g)[None])
    i_out = eqx.filter_jit(tile.read)(state, v) * cell.span()
    np.testing.assert_allclose(i_out, case.i_out, rtol=0, atol=1e-9 * np.abs(case.i_out).max())
