"""What a mix may ask for."""

import pytest

from pipeline.data.mix_settings import read_mixes
from pipeline.io.errors import UserError

GOOD = {"real_all": {"real": "all", "synthetic": 0}}


@pytest.mark.parametrize(
    ("mixes", "baseline", "message"),
    [
        (
            GOOD | {"b": {"real": 0, "synthetic": 0}},
            "real_all",
            "mixes.b: got real 0 and synthetic 0",
        ),
        (GOOD, "real", "segmenters.baseline: got 'real', expected a mix: real_all"),
        (
            GOOD | {"b": {"real": 4, "synthetic": 0, "baseline": "c"}},
            "real_all",
            "segmenters.mixes.b.baseline: got 'c'",
        ),
        ({"b": {"real": "most", "synthetic": 0}}, "b", "mixes.b.real: got 'most', expected all or"),
        ({"b": {"real": "equal", "synthetic": 0}}, "b", "mixes.b.real: got 'equal'"),
        ({"b": {"real": 1, "synthetic": -1}}, "b", "mixes.b.synthetic: got -1"),
        ({"b": {"real": 1, "synthetc": 1}}, "b", "mixes.b.synthetc: unknown parameter"),
        ({"b": {"real": 1, "synthetic": 0, "repeated": "most"}}, "b", "repeated: got 'most'"),
        (
            {"b": {"real": 0, "synthetic": 4, "pasted": "equal"}},
            "b",
            "mixes.b.pasted: got equal, expected 0 as real is 0",
        ),
        ({}, "b", "segmenters.mixes: got {}"),
    ],
)
def test_wrong_entries_are_named(mixes, baseline, message):
    with pytest.raises(UserError, match=message.replace("{}", r"\{\}")):
        read_mixes({"segmenters": {"mixes": mixes, "baseline": baseline}})
