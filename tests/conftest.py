"""What holds for every test, and the precisions a test can ask for."""

import os
from collections.abc import Iterator

import jax
import pytest

# Whole programs, each of which keeps one worker busy for long: begun last, they would keep the other one waiting.
LONG = (
    "test_notebooks.py",
    "test_experiments.py",
    "test_cli.py",
    "test_learning.py",
    "test_checkpoint.py",
    "test_readme.py",
)

# Tests compile many small programs and compute little with them: at the first of LLVM's levels they take half the time.
# Those of times and of memory, marked `optimized`, are run apart, compiled as a user's programs are.
QUICK = "--xla_backend_optimization_level=1"


def pytest_configure(config: pytest.Config) -> None:
    """Before JAX starts, for this process and all that it begins; flags of one's own come last and win."""
    flags = os.environ.get("XLA_FLAGS", "")
    as_users_do = "optimized" in str(config.getoption("markexpr")).replace("not optimized", "")
    if not as_users_do and QUICK not in flags:
        os.environ["XLA_FLAGS"] = f"{QUICK} {flags}".strip()
    # The cache folder of whoever runs the tests is theirs: no command of a test looks there, or leaves a thing.
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "0"
    jax.config.update("jax_enable_compilation_cache", False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the long tests first."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(autouse=True)
def rank_promotion_raises() -> Iterator[None]:
    """Arrays of different rank meet only where the code says so: most silent shape errors begin there."""
    with jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture
def x64() -> Iterator[None]:
    """Physics in double precision, where a dtype that changes by itself is an error."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def x32() -> Iterator[None]:
    """Physics in single precision, as JAX starts; strict as in `x64`."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("strict"):
        yield
