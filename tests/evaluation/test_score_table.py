import pandas as pd
import pytest

from pipeline.evaluation.score_table import headline_scores, score_table

COLUMNS = [
    *("architecture", "mix", "seed", "id", "group"),
    *("class_index", "class", "tp", "fp", "fn", "tn"),
]


@pytest.fixture
def counts():
    """Two photos of 100 pixels; the second shows no mould and none is predicted."""
    run = ("fpn", "real", 0)
    rows = [
        (*run, "p", "g", 0, "background", 80, 5, 10, 5),
        (*run, "p", "g", 1, "mould", 5, 10, 5, 80),
        (*run, "q", "h", 0, "background", 100, 0, 0, 0),
        (*run, "q", "h", 1, "mould", 0, 0, 0, 100),
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _score(table, name, reduction, metric="iou"):
    row = table[(table["class"] == name) & (table["reduction"] == reduction)]
    return row[metric].item()


def test_scores_by_hand(counts):
    table = score_table(counts)
    assert _score(table, "mould", "pooled") == pytest.approx(5 / 20)
    assert _score(table, "mould", "pooled", "dice") == pytest.approx(10 / 25)
    assert _score(table, "mould", "pooled", "precision") == pytest.approx(5 / 15)
    assert _score(table, "mould", "pooled", "recall") == pytest.approx(5 / 10)
    assert _score(table, "mould", "pooled", "accuracy") == pytest.approx(185 / 200)
    assert _score(table, "mould", "imagewise") == pytest.approx((0.25 + 1) / 2)  # 0/0 counts as 1
    background = 180 / 195
    assert _score(table, "background", "pooled") == pytest.approx(background)
    assert _score(table, "all classes", "macro") == pytest.approx((0.25 + background) / 2)
    assert _score(table, "all but background", "macro") == pytest.approx(0.25)
    imagewise = ((80 / 95 + 0.25) / 2 + 1) / 2
    assert _score(table, "all classes", "macro-imagewise") == pytest.approx(imagewise)
    assert _score(table, "all classes", "micro") == pytest.approx(185 / 215)


def test_headline_figures(counts):
    (row,) = headline_scores(counts).to_dict("records")
    assert row["defect_iou"] == pytest.approx(0.25)
    assert row["miou"] == pytest.approx(((80 / 95 + 0.25) / 2 + 1) / 2)


def test_every_run_and_seed_has_its_rows_in_the_order_of_the_counts(counts):
    both = pd.concat([counts.assign(seed=1), counts.assign(mix="mixed"), counts])
    table = score_table(both)
    runs = table[["mix", "seed"]].drop_duplicates().to_numpy().tolist()
    assert runs == [["real", 1], ["mixed", 0], ["real", 0]]
    assert len(table) == 3 * (2 * 2 + 2 * 4)


def test_class_that_no_photo_shows_has_no_pooled_score(counts):
    counts.loc[counts["class_index"] == 1, ["tp", "fp", "fn"]] = 0
    assert pd.isna(_score(score_table(counts), "mould", "pooled"))
