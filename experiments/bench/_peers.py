"""What else a user could pick. Each peer gets its equations ready and in its own format; only solving is timed.

badcrossbar has one call, which also assembles the equations; that is its interface. Every peer is optional but SciPy.
"""

import logging
import warnings
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse.linalg import splu

from experiments.bench._problems import SYMMETRIC, Problem
from experiments.bench._timing import Contender, race

PACKAGES = {"badcrossbar": "badcrossbar", "CHOLMOD": "scikit-sparse", "klujax": "klujax"}
_MODULES = {"badcrossbar": "badcrossbar", "CHOLMOD": "sksparse.cholmod", "klujax": "klujax"}

_FILL_REDUCING = ("amd", "metis", "nesdis")


def find(wanted: Sequence[str] = tuple(PACKAGES)) -> tuple[dict[str, Any], list[str]]:
    """Modules of the peers that can be imported, and one line for each that cannot."""
    found, missing = {}, []
    for name in wanted:
        try:
            found[name] = _import(_MODULES[name])
        except ImportError as error:
            missing.append(f"{name} is not measured ({error}); install it with `pip install -e '.[bench]'`.")
    return found, missing


def versions(found: dict[str, Any]) -> dict[str, str]:
    """Of the peers, and of the BLAS that CHOLMOD runs on, which decides how fast it is."""
    result = {PACKAGES[name]: metadata.version(PACKAGES[name]) for name in found}
    result["scipy"] = metadata.version("scipy")
    maps = Path("/proc/self/maps")
    if "CHOLMOD" in found and maps.exists():
        mapped = {Path(line.split()[-1]) for line in maps.read_text().splitlines() if ".so" in line}
        blas = sorted(str(p.name) for p in mapped if p.name.startswith(("libblas", "libopenblas", "libmkl", "libblis")))
        result["blas of scikit-sparse"] = ", ".join(blas) or "?"
    return result


def _import(name: str) -> Any:
    """Imports a peer and undoes what it does to global settings (klujax: platform and precision; badcrossbar: logs)."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    kept = {key: jax.config.read(key) for key in ("jax_enable_x64", "jax_platform_name")}
    # Recorded and dropped: badcrossbar changes the filters while it is imported.
    with warnings.catch_warnings(record=True):
        try:
            module = import_module(name)
        finally:
            root.setLevel(level)
            root.handlers[:] = handlers
            for key, value in kept.items():
                jax.config.update(key, value)
    logging.getLogger(name).setLevel(logging.ERROR)
    return module


def contenders(found: dict[str, Any], problems: Sequence[Problem]) -> list[Contender]:
    """Every peer on every variation of a problem, from its equations to the bit-line currents (inputs, bl)."""
    result = []
    if "badcrossbar" in found:
        result.append(badcrossbar(found["badcrossbar"], problems))
    result.append(sparse_lu(problems))
    if "CHOLMOD" in found:
        result += cholmod(found["CHOLMOD"], problems)
    if "klujax" in found:
        result += _klujax(found["klujax"], problems)
    return result


def badcrossbar(module: Any, problems: Sequence[Problem]) -> Contender:
    """The one call of badcrossbar, for bit-line currents only."""
    inputs = [(p.v_in.T.copy(), 1 / p.g, p.r) for p in problems]

    def call(k: int) -> np.ndarray:
        v, resistances, r = inputs[k]
        with warnings.catch_warnings():  # SciPy warns of the format badcrossbar hands it
            warnings.simplefilter("ignore")
            return module.compute(v, resistances, r_i=r, node_voltages=False, all_currents=False).currents.output

    return Contender("badcrossbar", call, len(problems))


def sparse_lu(problems: Sequence[Problem]) -> Contender:
    """SciPy's SuperLU: factorise, then one solve an input."""

    def call(k: int) -> np.ndarray:
        p = problems[k]
        factors = splu(p.matrix, permc_spec="MMD_AT_PLUS_A", **SYMMETRIC)
        return np.stack([p.i_out(factors.solve(b)) for b in p.rhs])

    return Contender("SciPy LU", call, len(problems))


def orderings_of_lu(problem: Problem) -> list[Contender]:
    """The other orderings of SuperLU, to show that the one above is the best."""

    def with_ordering(ordering: str) -> Contender:
        def call(_: int) -> np.ndarray:
            factors = splu(problem.matrix, permc_spec=ordering)
            return np.stack([problem.i_out(factors.solve(b)) for b in problem.rhs])

        return Contender(f"SciPy LU, {ordering}", call)

    return [with_ordering("COLAMD"), with_ordering("MMD_ATA")]


def cholmod(module: Any, problems: Sequence[Problem]) -> list[Contender]:
    """CHOLMOD with the quickest of its orderings: analysis, factor and solve; and with the analysis kept."""
    ordering = _best_ordering(module, problems[0])
    columns = [np.asfortranarray(p.rhs.T) for p in problems]

    def whole(k: int) -> np.ndarray:
        factor = module.cholesky(problems[k].matrix, ordering_method=ordering)
        return problems[k].i_out(factor(columns[k]).T)

    symbolic = module.analyze(problems[0].matrix, ordering_method=ordering)

    def numeric(k: int) -> np.ndarray:
        symbolic.cholesky_inplace(problems[k].matrix)
        return problems[k].i_out(symbolic(columns[k]).T)

    n = len(problems)
    return [Contender("CHOLMOD", whole, n), Contender("CHOLMOD, analysis kept", numeric, n)]


def _best_ordering(module: Any, problem: Problem) -> str:
    def trial(ordering: str) -> Contender:
        return Contender(ordering, lambda _: module.cholesky(problem.matrix, ordering_method=ordering)(problem.rhs[0]))

    trials = []
    for ordering in _FILL_REDUCING:
        try:
            trial(ordering).call(0)
        except module.CholmodError:  # a CHOLMOD built without METIS
            continue
        trials.append(trial(ordering))
    timings = race(trials, budget_s=0.3, rounds=3)
    return min(timings, key=lambda name: timings[name].least)


def _klujax(module: Any, problems: Sequence[Problem]) -> list[Contender]:
    cpu = jax.devices("cpu")[0]
    inputs = []
    with jax.enable_x64(True), jax.default_device(cpu):
        for p in problems:
            entries = p.matrix.tocoo()
            rows, columns = jnp.asarray(entries.row, jnp.int32), jnp.asarray(entries.col, jnp.int32)
            inputs.append((rows, columns, jnp.asarray(entries.data), jnp.asarray(p.rhs.T)))
        symbolic = module.analyze(*inputs[0][:2], inputs[0][3].shape[0])

    def whole(k: int) -> np.ndarray:
        with jax.enable_x64(True), jax.default_device(cpu):
            return problems[k].i_out(np.asarray(module.solve(*inputs[k])).T)

    def numeric(k: int) -> np.ndarray:
        with jax.enable_x64(True), jax.default_device(cpu):
            return problems[k].i_out(np.asarray(module.solve_with_symbol(*inputs[k], symbolic)).T)

    n = len(problems)
    return [
        Contender("klujax", whole, n, compiled=True),
        Contender("klujax, analysis kept", numeric, n, compiled=True),
    ]
