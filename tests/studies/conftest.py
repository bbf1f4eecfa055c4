"""A small study and the table that its runs would give."""

import pandas as pd
import pytest

from pipeline.studies.results import compare
from pipeline.studies.study import Cell, StudySettings, span_cells

PARAMS = {
    "seed": 0,
    "split": {"folds": None, "fold": 0},
    "report": {"resamples": 100},
    "masks": {"source": "real"},
    "filter": {"score": "none", "keep": "all"},
    "segmenters": {
        "baseline": "real_all",
        "mixes": {
            "real_all": {"real": "all", "synthetic": 0},
            "both": {"real": "all", "synthetic": "equal"},
            "real_2": {"real": 2, "synthetic": 0},
            "few": {"real": 2, "synthetic": "all", "baseline": "real_2"},
        },
    },
}
STUDY = {
    "title": "Masks",
    "repeats": "table 1 of a thesis",
    "question": "Which masks help?",
    "common": {"filter.keep": "all"},
    "axes": {
        "masks": {"real": {"masks.source": "real"}, "augmented": {"masks.source": "augmented"}},
        "filter": {"none": {}, "best half": {"filter.score": "miou", "filter.keep": 0.5}},
    },
    "collect": {
        "defect_iou": {
            "file": "metrics/segmentation.csv",
            "column": "iou",
            "where": {"class": "defect"},
        },
        "miou": {"file": "metrics/segmentation.csv", "column": "iou", "where": {"class": "all"}},
    },
    "figure": {"y": "defect_iou"},
}
SIZES = {"real_all": (8, 0), "both": (8, 8), "real_2": (2, 0), "few": (2, 16)}
SEED_SHIFT = {0: -0.01, 1: 0.0, 2: 0.01}


@pytest.fixture
def study() -> StudySettings:
    return StudySettings.model_validate(STUDY)


@pytest.fixture
def cells(study) -> list[Cell]:
    return span_cells(study, PARAMS)


def runs_of(cells: list[Cell]) -> pd.DataFrame:
    """Gains of `both`: 0.01 with augmented masks, 0.02 more when filtered; `few` loses 0.05."""
    rows = []
    for cell in cells:
        gain = 0.01 * (cell.values["masks"] == "augmented")
        gain += 0.02 * (cell.values["filter"] == "best half")
        kept = 8.0 if cell.values["filter"] == "best half" else float("nan")
        for architecture, base in (("fpn", 0.6), ("unetplusplus", 0.7)):
            scores = {"real_all": base, "both": base + gain, "real_2": 0.5, "few": 0.45}
            for mix, (real, synthetic) in SIZES.items():
                for seed, shift in SEED_SHIFT.items():
                    # the arms' seeds spread twice as far as their baselines'
                    iou = scores[mix] + shift * (2 if synthetic else 1)
                    rows.append(
                        cell.values
                        | {
                            "architecture": architecture,
                            "mix": mix,
                            "seed": seed,
                            "baseline": "real_2" if mix in ("real_2", "few") else "real_all",
                            "real": real,
                            "synthetic": synthetic,
                            "also": "",
                            "kept": kept,
                            "defect_iou": iou,
                            "miou": (1 + iou) / 2,
                        }
                    )
    return pd.DataFrame(rows)


@pytest.fixture
def runs(cells) -> pd.DataFrame:
    return runs_of(cells)


@pytest.fixture
def table(runs, study) -> pd.DataFrame:
    return compare(runs, list(study.axes), list(study.collect))
