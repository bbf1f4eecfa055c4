"""A study's outcome in words."""

import math

import pandas as pd
from scipy import stats

from pipeline.studies.naming import architecture_name, figure_name, size_of
from pipeline.studies.results import is_judged

CONFIDENCE = 0.95
SEEDS_LEAVE_OUT = "the interval does not say what other test photos would have given"
FOLDS_LEAVE_OUT = (
    "each of the {unit} is tested on photos of its own, so the interval covers their choice; it is "
    "a little too narrow, as the {unit} share photos that they train on"
)


def outcome(difference: float, sd: float, seeds: int) -> str:
    """`better`, `worse` or `cannot be told`, by Student's t over the seeds' differences.

    Args:
        difference: mean over the seeds of the difference to the baseline.
        sd: sample standard deviation of the seeds' differences; NaN with one seed.
        seeds: their number.
    """
    if seeds < 2 or math.isnan(sd):
        return "cannot be told"
    margin = stats.t.ppf((1 + CONFIDENCE) / 2, seeds - 1) * sd / math.sqrt(seeds)
    if abs(difference) <= margin:
        return "cannot be told"
    return "better" if difference > 0 else "worse"


def verdict(
    table: pd.DataFrame, axes: dict[str, list[str]], figure: str, unit: str = "seeds"
) -> str:
    """A paragraph and a list, as Markdown: the best mix of each architecture, each axis's effect.

    Args:
        table: the result of `results.compare`.
        axes: name of each axis to the names of its values; the first is what others are held to.
        figure: the figure judged by, such as `defect_iou`.
        unit: what the table's `seeds` are: `seeds`, or `folds`.
    """
    arms = table[is_judged(table)]
    lines = [
        _best(str(architecture), rows, table, list(axes), figure, unit)
        for architecture, rows in arms.groupby("architecture", sort=False)
    ]
    for axis, values in axes.items():
        lines += [_against(arms, axis, values[0], other, axes, figure) for other in values[1:]]
    words = outcomes(arms, figure)
    leaves_out = SEEDS_LEAVE_OUT if unit == "seeds" else FOLDS_LEAVE_OUT.format(unit=unit)
    summary = (
        f"In {figure_name(figure)}, {_counted(words)} (mixes against their own baselines, "
        "each architecture by itself). A mix is called better or worse where the "
        f"{CONFIDENCE:.0%} interval of its difference (Student's t over the {unit}, each paired "
        f"with the baseline's) leaves out zero; {leaves_out}."
    )
    return "\n".join([summary, "", *(f"- {line}" for line in lines if line)])


def outcomes(arms: pd.DataFrame, figure: str) -> list[str]:
    """The `outcome` of each row of `results.compare` that is no baseline."""
    columns = [f"{figure}_difference", f"{figure}_difference_sd", "seeds"]
    return [outcome(*row) for row in arms[columns].itertuples(index=False, name=None)]


def _best(
    architecture: str,
    rows: pd.DataFrame,
    table: pd.DataFrame,
    axes: list[str],
    figure: str,
    unit: str,
) -> str:
    words = outcomes(rows, figure)
    place = int(rows[f"{figure}_difference"].to_numpy().argmax())
    best = rows.iloc[place]
    same_run = (table[[*axes, "architecture"]] == best[[*axes, "architecture"]]).all(axis=1)
    base = table[same_run & (table["mix"] == best["baseline"])].iloc[0]
    setting = ", ".join(f"{axis} {best[axis]}" for axis in axes)
    return (
        f"{architecture_name(architecture)}: {_counted(words)}. Best against its baseline: "
        f"{setting}, {size_of(best)} pairs, {best[figure]:.3f} against "
        f"{base[figure]:.3f} of {size_of(base)} ({best[f'{figure}_difference']:+.3f} ± "
        f"{best[f'{figure}_difference_sd']:.3f} over {best['seeds']} {unit}: {words[place]})."
    )


def _counted(words: list[str]) -> str:
    return (
        f"{words.count('better')} of {len(words)} comparisons came out better and "
        f"{words.count('worse')} worse; {words.count('cannot be told')} cannot be told"
    )


def _against(
    arms: pd.DataFrame, axis: str, first: str, other: str, axes: dict[str, list[str]], figure: str
) -> str:
    """What `other` changed against `first`, all else equal."""
    same = ["architecture", "mix", "real", "synthetic", "also"]
    same += [name for name in axes if name != axis]
    left, right = (arms[arms[axis] == label] for label in (first, other))
    pairs = right.merge(left, on=same, suffixes=("", "_first"))
    if pairs.empty:
        return ""
    change = pairs[figure] - pairs[f"{figure}_first"]
    return (
        f"{axis.capitalize()} {other} against {first}, all else equal: {change.mean():+.3f} in "
        f"{figure_name(figure)} on average, higher in {int((change > 0).sum())} of {len(change)} "
        "comparisons."
    )
