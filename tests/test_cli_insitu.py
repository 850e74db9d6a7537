"""`qsynapse insitu` as a person meets it: progress, files, pictures, and what is refused."""

import numpy as np
import pytest

from qsynapse_jax.cli import main
from qsynapse_jax.studies import find_run
from tests.refusal import refused

# The program of tests/studies/test_insitu.py.
SMALL = ["insitu", "--rule", "sgd", "--hidden", "4", "--train-images", "60", "--learning-rate", "0.2", "--epochs", "2"]
WRONG = {
    "rule": (["--rule", "adag"], "Did you mean 'agad'?"),
    "device": (["--device", "cmo-hfx"], "Did you mean 'cmo-hfox'?"),
    "data set": (["--dataset", "mnst"], "Did you mean 'mnist'?"),
    "rate": (["--learning-rate", "-1"], "`learning_rate` must be positive"),
    "spread": (["--spread", "-0.1"], "`spread` must be non-negative"),
    "wires": (["--r-wire", "nan"], "`r_wire` must be non-negative"),
    "images": (["--train-images", "9999"], "`train_images` must be at most 1,297"),
}


@pytest.mark.filterwarnings("default")
def test_a_run_with_its_files_and_what_is_said_of_it(tmp_path, capsys):
    """Steps so small that a train cannot ask for enough of them: that is said once, and stands in the record."""
    out = tmp_path / "run"
    main([*SMALL, "--states", "1e6", "--out", str(out)])
    printed, said = capsys.readouterr()
    for expected in ("rule:   sgd; one array per matrix", "epoch 2, loss", "% saturated", "float software: epoch 1"):
        assert expected in printed
    assert said.count("of the updates asked for more than the 31 pulses of a train") == 1
    assert said.startswith("qsynapse: ")
    assert {path.name for path in out.iterdir()} == {
        "result.json",
        "data.npz",
        "epochs.csv",
        "accuracy.png",
        "weights.png",
        "pulses.png",
    }
    assert all(path.stat().st_size > 1000 for path in out.iterdir() if path.name != "epochs.csv")
    assert (out / "epochs.csv").read_text().splitlines()[0].startswith("network,epoch,loss,accuracy,seconds")
    record = find_run(out)
    assert record.notes[-1] in said
    assert record.data["weights/layers/1/last"].shape == (1, 4, 10)
    assert np.all(np.diff(record.data["history/insitu/pulses"]) > 0)
    assert "is used already" in refused(capsys, *SMALL, "--states", "1e6", "--out", str(out))
    other = refused(capsys, *SMALL, "--states", "10", "--resume", "--out", str(out))
    assert "`states` is 1000000.0 there and 10.0 here" in other
    main([*SMALL, "--states", "1e6", "--resume", "--out", str(out)])
    assert "is complete already. Its table is in" in capsys.readouterr().out


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_one_message_and_leaves_nothing(case, tmp_path, capsys):
    arguments, message = WRONG[case]
    assert message in refused(capsys, "insitu", *arguments, "--out", str(tmp_path / "out"))
    assert not list(tmp_path.iterdir())
