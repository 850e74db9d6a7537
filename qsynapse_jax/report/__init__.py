"""One HTML page from the results in a folder: pictures that answer to the mouse, tables, provenance; no network."""

from qsynapse_jax.report._write import write_report as write_report
