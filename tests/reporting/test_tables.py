import math

import numpy as np
import pandas as pd
import pytest

from pipeline.reporting import tables


@pytest.fixture
def scores():
    rows = [
        ("fpn", "real", 0, 0.60, 0.80),
        ("fpn", "real", 1, 0.70, 0.84),
        ("fpn", "mixed", 0, 0.71, 0.85),
        ("fpn", "mixed", 1, 0.75, 0.87),
        ("fpn", "few", 0, 0.30, 0.60),
        ("fpn", "few", 1, 0.30, 0.60),
        ("fpn", "few-mixed", 0, 0.50, 0.70),
        ("fpn", "few-mixed", 1, 0.52, 0.70),
    ]
    return pd.DataFrame(rows, columns=["architecture", "mix", "seed", "defect_iou", "miou"])


@pytest.fixture
def table(scores):
    rows = [
        ("fpn", "mixed", 0.08, 0.01, 0.15, "better"),
        ("fpn", "few", -0.35, -0.4, -0.3, "worse"),
        ("fpn", "few-mixed", 0.21, -0.1, 0.5, "cannot be told"),
    ]
    columns = ["architecture", "mix", "difference", "low", "high", "verdict"]
    baselines = {"real": "real", "mixed": "real", "few": "real", "few-mixed": "few"}
    return tables.mix_table(scores, pd.DataFrame(rows, columns=columns), baselines)


def test_mean_and_sample_deviation_over_seeds(scores):
    means = tables.seed_means(scores, ["architecture", "mix"], ["defect_iou"])
    assert list(means["mix"]) == ["real", "mixed", "few", "few-mixed"]
    assert list(means["seeds"]) == [2] * 4
    assert means["defect_iou"][0] == pytest.approx(0.65)
    assert means["defect_iou_sd"][0] == pytest.approx(0.1 / math.sqrt(2))  # √((.05² + .05²) / 1)
    assert means["defect_iou_sd"][2] == 0


def test_one_seed_has_no_deviation(scores):
    means = tables.seed_means(scores[scores["seed"] == 0], ["mix"], ["miou"])
    assert means["miou_sd"].isna().all()


def test_mix_table_keeps_the_baseline_row_without_difference(table):
    rows = table.set_index("mix")
    assert list(rows.index) == ["real", "mixed", "few", "few-mixed"]
    assert rows.loc["few-mixed", "baseline"] == "few"
    assert np.isnan(rows.loc["real", "difference"])
    assert rows.loc["mixed", ["difference", "verdict"]].tolist() == [0.08, "better"]


def test_summary_names_the_synthetic_mix_that_gained_most_over_its_own_baseline(table):
    assert tables.summary(table, "real", {"mixed", "few-mixed"}) == {
        "fpn": {
            "defect_iou": 0.65,
            "miou": 0.82,
            "gain": 0.21,
            "best_mix": "few-mixed",
            "verdict": "cannot be told",
        }
    }


def test_summary_without_synthetic_mixes_has_no_gain(table):
    assert tables.summary(table, "real", set()) == {"fpn": {"defect_iou": 0.65, "miou": 0.82}}


def test_iou_per_mix_has_one_label_a_run(table):
    frame = tables.iou_per_mix(table)
    assert list(frame["run"]) == ["fpn, real", "fpn, mixed", "fpn, few", "fpn, few-mixed"]
    assert list(frame["defect_iou"]) == [0.65, 0.73, 0.3, 0.51]


def test_training_curve_is_thinned_by_means_and_keeps_measured_validation():
    steps = np.arange(1, 2 * tables.CURVE_ROWS + 1)
    curve = pd.DataFrame({"step": steps, "loss": steps % 2, "val_loss": np.nan, "lr": 1.0})
    curve.loc[5, "val_loss"] = 3.0
    short = tables.training_curve(curve)
    assert list(short) == ["step", "loss", "val_loss"]
    assert len(short) == tables.CURVE_ROWS
    assert short["step"].iloc[-1] == steps[-1]
    assert (short["loss"] == 0.5).all()
    assert short["val_loss"].dropna().to_dict() == {2: 3.0}


def test_short_training_curve_is_left_alone():
    curve = pd.DataFrame({"step": [1, 2, 3], "loss": [3.0, 2.0, 1.0], "val_loss": [np.nan] * 3})
    assert list(tables.training_curve(curve)["loss"]) == [3, 2, 1]


def in_use(source="real", image_kind="sdm", mask_kind="latent"):
    params = {
        "subset": "a",
        "subsets": {"a": 1, "b": 2},
        "masks": {"source": source, "real": {"r": 1}, "augmented": {"a": 2}, "diffusion": {"d": 3}},
        "mask_dm": {"kind": mask_kind, "latent": {"l": 4}, "pixel": {"p": 5}, "check_count": 6},
        "autoencoder": {"photos": 7},
        "mask_autoencoder": {"masks": 8},
        "image_dm": {"kind": image_kind, "sdm": {"x": 1}, "ldm": {"y": 2}, "finetune": {"z": 3}},
    }
    return tables.parameters_in_use(params)


def test_parameters_of_other_kinds_and_subsets_are_not_in_use():
    assert in_use() == {
        "subset": "a",
        "subsets": {"a": 1},
        "masks": {"source": "real", "real": {"r": 1}},
        "image_dm": {"kind": "sdm", "sdm": {"x": 1}, "finetune": {"z": 3}},
    }


def test_models_of_masks_and_autoencoders_are_in_use_where_the_method_needs_them():
    shown = in_use("diffusion", "ldm")
    assert shown["masks"] == {"source": "diffusion", "diffusion": {"d": 3}}
    assert shown["mask_dm"] == {"kind": "latent", "latent": {"l": 4}, "check_count": 6}
    assert {"autoencoder", "mask_autoencoder"} <= set(shown)

    shown = in_use("diffusion", "sdm", "pixel")
    assert shown["mask_dm"] == {"kind": "pixel", "pixel": {"p": 5}, "check_count": 6}
    assert not {"autoencoder", "mask_autoencoder"} & set(shown)

    assert set(in_use("augmented", "ldm")) - set(in_use()) == {"autoencoder"}
