"""What holds for every test, and the precisions a test can ask for."""

import gc
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import jaxlib
import pytest

# Whole programs, each of which keeps one worker busy for long: begun last, they would keep the other one waiting.
LONG = (
    "test_notebooks.py",
    "test_experiments.py",
    "test_cli.py",
    "test_learning.py",
    "test_checkpoint.py",
    "test_readme.py",
    "test_docs.py",
    "test_site.py",
)

# Tests compile many small programs and compute little with them. Not optimized by LLVM, and fused by the older of XLA's
# emitters, a program compiles in a fifth of the time and runs in ten times it; what XLA itself makes of it is the same.
# Those of times and of memory, marked `optimized`, are run apart, compiled as a user's programs are.
QUICK = "--xla_backend_optimization_level=0"
# XLA ends a process that names a flag it does not know: this one is of the versions that have been tried.
if jaxlib.version.__version_info__ < (0, 11):
    QUICK += " --xla_cpu_use_fusion_emitters=false"

# Both workers and all processes that tests begin share what takes longer to compile [s] than to write and to find.
# JAX does not write at once: whoever reads meanwhile, or after the writer was killed, gets a part, which does not
# decompress, so that JAX warns and compiles. The warning is ignored here, and in pyproject.toml.
SHARED_FROM = 0.3
# A folder that several runs share, one after another: CI runs the quick tests, then the slow ones.
KEPT = "QSYNAPSE_TESTS_COMPILED"
# What is killed on purpose only reads (`READS_ONLY`): a part that it left would be compiled by all who come after.
UNREADABLE = "ignore:Error reading persistent compilation cache entry"
READS_ONLY = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9"}

# Every compiled program for CPUs keeps memory maps, of which Linux grants a process 65,530; beyond, LLVM crashes.
MOST_MAPS = 30_000
MAPS = Path("/proc/self/maps")
LOOK_EVERY = 10.0  # seconds: at most some 500 maps come in one, and to count 30,000 takes 20 ms
NEXT_LOOK = pytest.StashKey[float]()


def pytest_configure(config: pytest.Config) -> None:
    """Before JAX starts, for this process and all that it begins; flags of one's own come last and win."""
    flags = os.environ.get("XLA_FLAGS", "")
    as_users_do = "optimized" in str(config.getoption("markexpr")).replace("not optimized", "")
    if not as_users_do and QUICK not in flags:
        os.environ["XLA_FLAGS"] = f"{QUICK} {flags}".strip()
    # The cache folder of whoever runs the tests is theirs: no command of a test looks there, or leaves a thing.
    if is_first(config):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ.get(KEPT) or tempfile.mkdtemp(prefix="compiled-for-tests-")
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = str(int(not as_users_do))
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = str(SHARED_FROM)
    os.environ["PYTHONWARNINGS"] = UNREADABLE
    jax.config.update("jax_enable_compilation_cache", not as_users_do)
    jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SHARED_FROM)


def pytest_unconfigure(config: pytest.Config) -> None:
    """What was compiled goes with the last test, unless it has a folder of its own."""
    if is_first(config) and not os.environ.get(KEPT):
        shutil.rmtree(os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)


def is_first(config: pytest.Config) -> bool:
    """Whether this process began the others, and is none of the workers."""
    return not hasattr(config, "workerinput")


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Forgets what is compiled before it has too many memory maps."""
    now = time.monotonic()
    if now >= item.session.stash.get(NEXT_LOOK, 0.0):
        item.session.stash[NEXT_LOOK] = now + LOOK_EVERY
        make_room()


def make_room() -> None:
    """Drops all compiled programs where their maps are too many."""
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()
        gc.collect()


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
