"""The report's tables: means over seeds, differences to the baseline, the headline figures.

The segmenters' pixel counts arrive here as scores: one row per architecture, mix and seed with
`defect_iou` (each defect class's IoU over all test pixels, averaged over the classes) and `miou`
(IoU averaged over classes with background and over photos, the thesis's macro-imagewise mIoU).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.reporting import facts

DECIMALS = 4
CURVE_ROWS = 500
VERDICT_COLUMNS = ["architecture", "mix", "difference", "low", "high", "verdict"]
EXTERNAL_DICE = ("external_dice", "external_dice_finetuned")
MASK_KINDS = ("latent", "pixel")  # blocks of section mask_dm
MEASURES = ("val_loss", "colour_divergence")  # columns of a curve that are not in every row


def seed_means(scores: pd.DataFrame, by: list[str], figures: list[str]) -> pd.DataFrame:
    """Mean and sample standard deviation over seeds of each figure, in the order of the rows.

    Returns:
        One row per combination of `by`: those columns, `seeds`, and for each figure `<figure>`
        and `<figure>_sd` (NaN with one seed).
    """
    grouped = scores.groupby(by, sort=False)
    columns = {"seeds": grouped["seed"].nunique()}
    for figure in figures:
        columns[figure] = grouped[figure].mean()
        columns[f"{figure}_sd"] = grouped[figure].std(ddof=1)
    return pd.DataFrame(columns).reset_index()


def mix_table(
    scores: pd.DataFrame, gained: pd.DataFrame, baselines: Mapping[str, str]
) -> pd.DataFrame:
    """One row per architecture and mix: means, their spread, and the difference to the baseline.

    Args:
        scores: architecture, mix, seed, defect_iou, miou.
        gained: a row for each mix that is not its own baseline: architecture, mix, difference in
            defect IoU, low and high of its interval, verdict.
        baselines: the mix that each mix is compared with.
    """
    means = seed_means(scores, ["architecture", "mix"], ["defect_iou", "miou"])
    means["baseline"] = means["mix"].map(baselines)
    return means.merge(gained[VERDICT_COLUMNS], on=["architecture", "mix"], how="left")


def summary(
    table: pd.DataFrame, common: str, synthetic: set[str], external: pd.DataFrame | None = None
) -> dict[str, dict[str, Any]]:
    """The headline figures of each architecture.

    `best_mix` is the mix with synthetic pairs that gained most over its own baseline, `gain` that
    difference in defect IoU and `verdict` what it amounts to; they are left out where no mix holds
    synthetic pairs. Likewise `external_gain` (in Dice), `external_mix` and `external_verdict` in
    another domain, finetuned where segmenters are.

    Args:
        table: the result of `mix_table`.
        common: the common baseline mix, `segmenters.baseline`.
        synthetic: the mixes that hold synthetic pairs.
        external: every mix against its baseline in another domain; None = there is none.
    """
    headline: dict[str, dict[str, Any]] = {}
    for architecture, part in table.groupby("architecture", sort=False):
        base = part[part["mix"] == common].iloc[0]
        figures: dict[str, Any] = {
            "defect_iou": round(float(base["defect_iou"]), DECIMALS),
            "miou": round(float(base["miou"]), DECIMALS),
        }
        rivals = part[part["mix"].isin(synthetic)].dropna(subset=["difference"])
        if len(rivals):
            best = rivals.loc[rivals["difference"].idxmax()]
            figures["gain"] = round(float(best["difference"]), DECIMALS)
            figures["best_mix"] = best["mix"]
            figures["verdict"] = best["verdict"]
        if external is not None:
            figures |= _external_summary(
                external[external["architecture"] == architecture], synthetic
            )
        headline[str(architecture)] = figures
    return headline


def _external_summary(gained: pd.DataFrame, synthetic: set[str]) -> dict[str, Any]:
    """Of one architecture; the last of the figures in Dice."""
    in_dice = gained[gained["figure"].isin(EXTERNAL_DICE) & gained["mix"].isin(synthetic)]
    rows = in_dice[in_dice["figure"] == in_dice["figure"].iloc[-1]] if len(in_dice) else in_dice
    if rows.empty:
        return {}
    best = rows.loc[rows["difference"].idxmax()]
    return {
        "external_gain": round(float(best["difference"]), DECIMALS),
        "external_mix": best["mix"],
        "external_verdict": best["verdict"],
    }


def iou_per_mix(table: pd.DataFrame) -> pd.DataFrame:
    """What DVC plots: architecture, mix, `run` (both in one label), defect_iou, miou, seeds."""
    run = table["architecture"] + ", " + table["mix"]
    columns = ["architecture", "mix", "run", "defect_iou", "defect_iou_sd", "miou", "miou_sd"]
    return table.assign(run=run)[columns].round(DECIMALS)


def training_curve(curve: pd.DataFrame) -> pd.DataFrame:
    """step, loss and what was measured now and then (else NaN) in at most `CURVE_ROWS` rows.

    Each row is the mean of as many measured ones, at the last one's step.
    """
    every = max(1, -(-len(curve) // CURVE_ROWS))
    measured = [name for name in MEASURES if name in curve]
    means = {"step": "last", "loss": "mean"} | dict.fromkeys(measured, "mean")
    return curve.groupby(np.arange(len(curve)) // every).agg(means).round(6)


def parameters_in_use(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters without the blocks of kinds and subsets that are not selected."""
    shown = dict(params)
    if "subsets" in shown:
        shown["subsets"] = _only(shown["subsets"], params["subset"])
    shown["masks"] = _only(params["masks"], "source", params["masks"]["source"])
    kind = params["image_dm"]["kind"]
    shown["image_dm"] = _only(params["image_dm"], "kind", "reduction", kind, "finetune")
    if "mask_dm" in shown:
        others = [name for name in MASK_KINDS if name != params["mask_dm"]["kind"]]
        shown["mask_dm"] = {k: v for k, v in params["mask_dm"].items() if k not in others}
    draws_masks = params["masks"]["source"] == "diffusion" and kind not in facts.DRAW_MASKS
    is_used = {
        "masks": kind not in facts.DRAW_MASKS,
        "superres": params.get("sampling", {}).get("superres", {}).get("enabled", False),
        "mask_dm": draws_masks,
        "mask_autoencoder": draws_masks and params["mask_dm"]["kind"] == "latent",
        "autoencoder": kind == "ldm",
        "external": shown.get("external", {}).get("enabled", False),
    }
    return {name: content for name, content in shown.items() if is_used.get(name, True)}


def _only(block: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: block[name] for name in names if name in block}
