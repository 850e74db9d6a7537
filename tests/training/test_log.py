"""A run as a table: a line per epoch, kept when the process ends, continued where a run is continued."""

import csv

import pytest

from qsynapse_jax.training import CsvLog, Epoch, fit
from tests.training.models import KEY, samples, software


def lines(path):
    """Lines of a table by column."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def column(path, name):
    return [line[name] for line in lines(path)]


def epoch(number, **measured):
    return Epoch(number, 0.1 * number, 0.5, measured)


def test_an_epoch_is_a_line_with_its_figures(tmp_path):
    path = tmp_path / "run.csv"
    history = fit(
        software(),
        samples(),
        samples(),
        key=KEY,
        epochs=3,
        batch_size=4,
        on_epoch=CsvLog(path),
        measure=lambda state: {"steps, all": float(state.step)},
    )
    assert path.read_text().splitlines()[0] == 'epoch,loss,accuracy,seconds,"steps, all"'
    assert column(path, "epoch") == ["1", "2", "3"]
    assert column(path, "steps, all") == ["5.0", "10.0", "15.0"]
    for line, record in zip(lines(path), history, strict=True):
        assert (float(line["loss"]), float(line["accuracy"])) == (record.loss, record.accuracy)
        assert 0 <= float(line["seconds"]) < 60


def test_every_line_is_on_disk_when_the_epoch_is_over(tmp_path):
    log = CsvLog(tmp_path / "run.csv")
    for number in (1, 2, 3):
        log(epoch(number))
        assert len(lines(tmp_path / "run.csv")) == number
    assert [path.name for path in tmp_path.iterdir()] == ["run.csv"]


def test_a_continued_run_replaces_the_epochs_that_it_repeats(tmp_path):
    """After a kill: two epochs came after the checkpoint, and the last line is half a line."""
    path = tmp_path / "run.csv"
    log = CsvLog(path)
    for number in (1, 2, 3):
        log(epoch(number))
    path.write_text(path.read_text() + "4,0.4")
    again = CsvLog(path, resume=True)
    assert len(path.read_text().splitlines()) == 5  # nothing is changed before there is something new
    for number in (2, 3):
        again(Epoch(number, 7.0, 0.5))
    assert column(path, "epoch") == ["1", "2", "3"]
    assert column(path, "loss") == ["0.1", "7.0", "7.0"]


def test_several_networks_share_a_file_and_what_only_one_measures_is_empty(tmp_path):
    path = tmp_path / "run.csv"
    for network, measured in (("float", {}), ("arrays", {"pulses": 3.0})):
        log = CsvLog(path, resume=True, network=network)
        log(epoch(1, **measured))
        log(epoch(2, **measured))
    CsvLog(path, resume=True, network="arrays")(epoch(2, pulses=9.0))
    assert column(path, "network") == ["float", "float", "arrays", "arrays"]
    assert column(path, "epoch") == ["1", "2", "1", "2"]
    assert column(path, "pulses") == ["", "", "3.0", "9.0"]


def test_a_file_that_is_there_is_kept(tmp_path):
    path = tmp_path / "run.csv"
    CsvLog(path)(epoch(1))
    before = path.read_text()
    with pytest.raises(ValueError, match=r"run\.csv is; continue it with `resume=True`"):
        CsvLog(path)
    for text in ("a,b\n1,2\n", "network,epoch,loss\n", f"{before}x,1,1,1\n", f"{before}1,1,1,1,1\n", "mine"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"run\.csv is none"):
            CsvLog(path, resume=True)
        assert path.read_text() == text


def test_a_column_has_one_meaning(tmp_path):
    with pytest.raises(ValueError, match="'loss' is one already"):
        CsvLog(tmp_path / "run.csv", loss="mean")
    with pytest.raises(ValueError, match="'network' is one already"):
        CsvLog(tmp_path / "run.csv", network="float")(epoch(1, network=1.0))
    assert not list(tmp_path.iterdir())
