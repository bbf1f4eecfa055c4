"""A study's outcome in words."""

import pandas as pd

from pipeline.statistics.verdicts import BETTER, CONFIDENCE, UNTOLD, WORSE
from pipeline.studies.naming import architecture_name, counted, figure_name, size_of
from pipeline.studies.results import is_judged

SIZE = ["real", "synthetic", "also"]
SEEDS = "allows for other seeds of the training, not for other test photos"
GROUPS_AND_SEEDS = "allows for other test groups and other seeds of the training"
ONE_SEED = (
    "One seed tells nothing of others, so that no mix is called better or worse; from two on there "
    "are intervals."
)
FOLDS = (
    " Every test group is one of the data set's, tested by the one of {folds} folds that did not "
    "train on it; groups are drawn from all folds."
)


def verdict(
    table: pd.DataFrame,
    axes: dict[str, list[str]],
    figure: str,
    folds: int | None = None,
    over_groups: bool = False,
    difference: bool = False,
) -> str:
    """A paragraph and a list, as Markdown: the best mix of each architecture, each axis's effect.

    Args:
        table: the result of `results.compare`.
        axes: name of each axis to the names of its values; the first is what others are held to.
        figure: the figure judged by, such as `defect_iou`.
        folds: group folds that the figures are of; None = one split.
        over_groups: whether intervals allow for other test groups as well as for other seeds.
        difference: whether the values of an axis are held to each other by what each gained over
            its own baseline, as their baselines differ.
    """
    arms = table[is_judged(table)]
    lines = [
        _best(str(architecture), rows, table, list(axes), figure)
        for architecture, rows in arms.groupby("architecture", sort=False)
    ]
    for axis, values in axes.items():
        pairs = [(values[0], other) for other in values[1:]]
        lines += [_against(arms, axis, pair, axes, figure, difference) for pair in pairs]
    words = arms[f"{figure}_verdict"].tolist()
    scope = GROUPS_AND_SEEDS if over_groups else SEEDS
    of_folds = FOLDS.format(folds=folds) if folds and over_groups else ""
    called = (
        "A mix is called better or worse where the interval of its "
        f"difference leaves out zero. The interval {scope}. It is widened for the number of "
        "comparisons, so that all those of an architecture hold the truth in "
        f"{CONFIDENCE:.0%} of experiments.{of_folds}"
    )
    if (arms["seeds"] == 1).all():
        called = ONE_SEED
    summary = (
        f"In {figure_name(figure)}, {_counted(words)} (mixes against their own baselines, "
        f"each architecture by itself). {called}"
    )
    return "\n".join([summary, "", *(f"- {line}" for line in lines if line)])


def _best(
    architecture: str,
    rows: pd.DataFrame,
    table: pd.DataFrame,
    axes: list[str],
    figure: str,
) -> str:
    words = rows[f"{figure}_verdict"].tolist()
    place = int(rows[f"{figure}_difference"].to_numpy().argmax())
    best = rows.iloc[place]
    same_run = (table[[*axes, "architecture"]] == best[[*axes, "architecture"]]).all(axis=1)
    base = table[same_run & (table["mix"] == best["baseline"])].iloc[0]
    setting = ", ".join(f"{axis} {best[axis]}" for axis in axes)
    return (
        f"{architecture_name(architecture)}: {_counted(words)}. Best against its baseline: "
        f"{setting}, {size_of(best)} pairs, {best[figure]:.3f} against "
        f"{base[figure]:.3f} of {size_of(base)} ({best[f'{figure}_difference']:+.3f}"
        f"{_interval(best, figure)} over {_total(best['seeds'])}: {words[place]})."
    )


def _interval(row: pd.Series, figure: str) -> str:
    low, high = row[f"{figure}_low"], row[f"{figure}_high"]
    return "" if pd.isna(low) else f", {low:+.3f} to {high:+.3f},"


def _total(count: int) -> str:
    return counted(count, "seeds") + (", which tells nothing of others" if count == 1 else "")


def _counted(words: list[str]) -> str:
    return (
        f"{words.count(BETTER)} of {len(words)} comparisons came out better and "
        f"{words.count(WORSE)} worse; {words.count(UNTOLD)} cannot be told"
    )


def _against(
    arms: pd.DataFrame,
    axis: str,
    names: tuple[str, str],
    axes: dict[str, list[str]],
    figure: str,
    difference: bool,
) -> str:
    """What the second of two values changed against the first: in mixes of one size, if any are."""
    same = ["architecture", "mix", *(name for name in axes if name != axis)]
    left, right = (arms[arms[axis] == name] for name in names)
    pairs = right.merge(left, on=same, suffixes=("", "_first"))
    if pairs.empty:
        return ""
    alike = (pairs[SIZE] == pairs[[f"{name}_first" for name in SIZE]].to_numpy()).all(axis=1)
    if alike.any() and not difference:
        pairs, alike = pairs[alike], alike[alike]
    column = f"{figure}_difference" if difference else figure
    change = pairs[column] - pairs[f"{column}_first"]
    what = figure_name(figure) + (" above the baseline's" if difference else "")
    return (
        f"{axis.capitalize()} {names[1]} against {names[0]}, "
        f"{'all else equal' if alike.all() else 'mix by mix'}: {change.mean():+.3f} in {what} on "
        f"average, higher in {int((change > 0).sum())} of {counted(len(change), 'comparisons')}."
    )
