"""From a folder to its page."""

from pathlib import Path

from qsynapse_jax import sweep
from qsynapse_jax._arrays import write_whole
from qsynapse_jax.report._page import page
from qsynapse_jax.report._record import record_sections
from qsynapse_jax.report._sweep import sweep_sections
from qsynapse_jax.studies import read_record

_SWEEP, _RESULT = "sweep.json", "result.json"


def write_report(folder: str | Path, out: str | Path | None = None) -> Path:
    """Writes one HTML page of what a sweep or a run has found: pictures, table, settings, provenance; no network.

    Args:
        folder: of a sweep, complete or not; or one that holds a result.json, and the pictures beside it.
        out: the page; report.html in the folder where not given.

    Returns:
        The page's path.

    Raises:
        ValueError: neither is there, or what is there cannot be believed.
        OSError: the page cannot be written.
        ModuleNotFoundError: Plotly is not installed, with the line that installs it.
    """
    folder = Path(folder)
    out = folder / "report.html" if out is None else Path(out)
    try:
        import plotly  # noqa: F401  # said before any work
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("A report needs Plotly: pip install 'qsynapse_jax[report]'.") from error
    if (folder / _SWEEP).is_file():
        ds = sweep.open(folder)
        lead, sections = sweep_sections(ds)
        title = f"Sweep {folder.resolve().name}"
    elif (folder / _RESULT).is_file():
        record = read_record(folder / _RESULT)
        lead, sections = record_sections(record, folder)
        title = f"Run {folder.resolve().name}"
    else:
        raise ValueError(
            f"Argument `folder` must hold a sweep ({_SWEEP}) or a run ({_RESULT}), but {folder} holds neither; "
            "give the folder that `qsynapse sweep --out` or `qsynapse train --out` wrote."
        )
    text = page(title, lead, sections)
    write_whole(out, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return out
