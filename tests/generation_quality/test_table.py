"""The table, the flat mapping and the lines say the same."""

import io

import pandas as pd

from pipeline.generation_quality.measured import Measured
from pipeline.generation_quality.table import Row, to_flat, to_frame, to_lines

ROWS = [
    Row(
        "kid",
        Measured(0.123456789, 160, 0.01, 130, "100 subsets of 65 photos"),
        Measured(None, 3, n_against=130, note="3 photos against 130, needs 4 on each side"),
        Measured(-1e-7, 65, 2e-4, 65, "100 subsets of 32 photos"),
    ),
    Row("alignment", Measured(None, 0, note="no judges"), Measured(None, 0, note="no judges")),
]


def test_columns():
    text = to_frame(ROWS).to_csv(index=False)
    found = pd.read_csv(io.StringIO(text), dtype=str).set_index("name")
    assert found.loc["kid", "value"] == "0.123457"
    assert found.loc["kid", ["n", "n_against", "halves_n"]].tolist() == ["160", "130", "65"]
    assert found.loc["kid", "halves"] == "-1e-07"
    assert found.loc["kid", "note"] == (
        "100 subsets of 65 photos; reference: 3 photos against 130, needs 4 on each side; "
        "halves: 100 subsets of 32 photos"
    )
    assert found.loc["alignment", "note"] == "no judges"
    assert found.loc["alignment", ["value", "halves", "halves_n"]].isna().all()


def test_flat_names():
    flat = to_flat(ROWS)
    assert flat["kid"] == 0.123457 and flat["kid_deviation"] == 0.01
    assert flat["kid_n"] == 160 and flat["kid_reference"] is None and flat["kid_reference_n"] == 3
    assert flat["alignment"] is None and flat["alignment_note"] == "no judges"
    assert "name" not in flat and "kid_name" not in flat


def test_lines():
    first, second = to_lines(ROWS)
    assert first.startswith("kid: 0.1235 ± 0.01, n = 160 (real photos: none)")
    assert second == "alignment: none (real photos: none); no judges"
