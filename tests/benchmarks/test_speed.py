import time

import numpy as np
import pytest

from benchmarks.speed.measuring import Contender, summarise, time_in_turn


def test_each_round_times_all_contenders() -> None:
    done = []
    contenders = [
        Contender("slow", lambda: (done.append("slow"), time.sleep(0.02)), 1),
        Contender("quick", lambda: done.append("quick"), 1),
    ]
    seconds = time_in_turn(contenders, repeats=3, warm_ups=1)
    assert seconds.shape == (3, 2)
    assert (seconds[:, 0] >= 0.02).all()
    assert done == ["slow", "quick", *["slow", "quick"], *["quick", "slow"], *["slow", "quick"]]


def test_ratios_are_taken_round_by_round() -> None:
    contenders = [Contender("ours", print, 10), Contender("theirs", print, 5)]
    # a machine that is busy in the second round slows both down
    seconds = np.array([[1.0, 2.0], [10.0, 15.0], [1.0, 4.0]])
    table = summarise(contenders, seconds, "photos").set_index("contender")
    assert table.loc["ours", "photos/s"] == pytest.approx(10.0)
    assert table.loc["theirs", "photos/s"] == pytest.approx(1.25)
    # rates 10, 1, 10 against 2.5, 1/3, 1.25
    assert table.loc["theirs", ["ratio", "lowest", "highest"]].tolist() == pytest.approx([4, 3, 8])
    assert table.loc["ours", "ratio"] == 1
