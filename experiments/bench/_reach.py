"""What is asked of each job."""

from typing import NamedTuple


class Reach(NamedTuple):
    """A job, the script that measures it, and what is asked for."""

    label: str
    reach: str
    unit: str
    script: str


# Sizes [lines] that a claim over "32..256 lines" has to have been measured at.
CLAIMED = {32, 64, 128, 256}

_ONE = "one vector, 128 x 128, 1 ohm, float32, cells"
_MANY = "128 vectors, 128 x 128, 1 ohm, 1k-1M ohm, float32,"
_COMPILE = "compile time at 32..256 lines, the longest:"

_STEP = "training inside arrays, 784-256-128-10"
_UPDATE = "pulsed update of 1024 x 1024 devices, step"

REACH = {
    "one_vector_error": Reach(f"{_ONE} 10k-1M ohm: error", "<= 2e-6", "of the largest current", "solver"),
    "one_vector_badcrossbar": Reach(f"{_ONE} 10k-1M ohm: `solve` in jit against badcrossbar", ">= 600", "x", "solver"),
    "one_vector_cholmod": Reach(f"{_ONE} 10k-1M ohm: `solve` in jit against CHOLMOD", ">= 120", "x", "solver"),
    "one_vector_wide_badcrossbar": Reach(
        f"{_ONE} 1k-1M ohm: `solve` in jit against badcrossbar", ">= 250", "x", "solver"
    ),
    "one_vector_wide_cholmod": Reach(f"{_ONE} 1k-1M ohm: `solve` in jit against CHOLMOD", ">= 50", "x", "solver"),
    "many_badcrossbar": Reach(
        f"{_MANY} all node voltages (`solve` in jit) against badcrossbar", ">= 60", "x", "solver"
    ),
    "many_klujax": Reach(f"{_MANY} all node voltages (`solve` in jit) against klujax", ">= 25", "x", "solver"),
    "many_currents_badcrossbar": Reach(
        f"{_MANY} currents only (`v @ effective_conductance`) against badcrossbar", ">= 60", "x", "solver"
    ),
    "many_currents_klujax": Reach(
        f"{_MANY} currents only (`v @ effective_conductance`) against klujax", ">= 25", "x", "solver"
    ),
    "choice": Reach("`Auto` against the best solver, the worst circuit of the grid", "<= 1.5", "x", "choice"),
    "severe_512_iterations": Reach("512 x 512, 10 ohm, 1k-1M ohm: iterations", "<= 40", "", "solver"),
    "severe_512_error": Reach("512 x 512, 10 ohm, 1k-1M ohm: error", "<= 1e-5", "of the largest current", "solver"),
    "severe_256_error": Reach(
        "256 x 256, 100 ohm, all cells 1 kohm: error", "<= 1e-5", "of the largest current", "solver"
    ),
    "nonlinear_solves": Reach("nonlinear sinh k = 3 /V, 128 x 128: linear solves", "<= 6", "", "solver"),
    "gradient_solve": Reach("gradient of `solve` in g, the worst of 32..256 lines", "<= 2.5", "forwards", "gradient"),
    "effective_lu": Reach("`effective_conductance` 128 x 128 against SciPy's LU", ">= 60", "x", "effective"),
    "effective_cholmod": Reach("`effective_conductance` 128 x 128 against CHOLMOD", ">= 30", "x", "effective"),
    "effective_tiles": Reach("52 tiles of 64 x 64 under `vmap`: a tile against one alone", "<= 1.0", "x", "effective"),
    "gradient_effective": Reach(
        "gradient of `effective_conductance` in g, the worst of 32..256 lines", "<= 3", "forwards", "gradient"
    ),
    "memory_1024": Reach("memory of one 1024 x 1024 solve", "<= 20", "arrays of that size", "scale"),
    "compile_solve": Reach(f"{_COMPILE} `solve`", "<= 5", "s", "compile"),
    "compile_solve_gradient": Reach(f"{_COMPILE} gradient of `solve`", "<= 5", "s", "compile"),
    "compile_effective": Reach(f"{_COMPILE} `effective_conductance`", "<= 5", "s", "compile"),
    "compile_effective_gradient": Reach(f"{_COMPILE} gradient of `effective_conductance`", "<= 5", "s", "compile"),
    "training_step": Reach(
        "training step of 784-256-10, 64 x 64 tiles, batch 1024, exact in every step, against ideal wires",
        "<= 30",
        "x",
        "training",
    ),
    "training_followed": Reach("the same, circuits followed, exact compilations included", "<= 2.5", "x", "training"),
    "training_followed_small": Reach("the same, followed, batch 64", "<= 8", "x", "training"),
    **{
        f"in_place_{rule}_{batch}": Reach(f"{_STEP}, {rule}, batch {batch}, against aihwkit", reach, "x", "in_place")
        for rule in ("sgd", "agad")
        for batch, reach in ((1, ">= 3"), (64, ">= 10"))
    },
    "sweep_badcrossbar": Reach(
        "10,000 random arrays of 64 x 64 cells, four axes: `sweep.run`, compilation and store included, against a loop "
        "over badcrossbar",
        ">= 50",
        "x",
        "sweep",
    ),
    "in_place_update_soft": Reach(f"{_UPDATE} 0.04, against aihwkit", ">= 1", "x", "in_place"),
    "in_place_update_constant": Reach(f"{_UPDATE} 0.001, against aihwkit", ">= 5", "x", "in_place"),
}
