"""The trials in one figure: false alarms, truths held, what was found."""

import io

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.statistics.verdicts import CONFIDENCE
from pipeline.studies.drawing import STYLE

# Okabe and Ito; the last method is the chosen one
LOOKS = [("#d55e00", "s"), ("#cc79a7", "^"), ("#e69f00", "D"), ("#0072b2", "o")]
SPREAD = 0.5  # of the space between two sizes that the marks of one size take


def draw(table: pd.DataFrame) -> bytes:
    """PNG of the result of `trials.single_trials`."""
    arms = list(dict.fromkeys(table["arm"]))
    identical, most = (table[table["arm"] == arm] for arm in (arms[0], arms[-1]))
    difference = most["difference"].iloc[0]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11.5, 4.2), layout="constrained")
        panels = figure.subplots(1, 3)
        _draw_shares(
            panels[0], identical, "told", "identical arms told apart (aim: 5 %)", 1 - CONFIDENCE
        )
        title = f"interval holds {difference:+.3f} (aim: 95 %)"
        _draw_shares(panels[1], most, "held", title, CONFIDENCE)
        _draw_shares(panels[2], most, "told", f"difference of {difference:+.3f} is told", None)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=100, metadata={"Software": None})
        return buffer.getvalue()


def _draw_shares(axes: Axes, table: pd.DataFrame, name: str, title: str, aim: float | None) -> None:
    methods = list(dict.fromkeys(table["method"]))
    for index, (method, (colour, mark)) in enumerate(zip(methods, LOOKS, strict=True)):
        rows = table[table["method"] == method]
        shift = SPREAD * (index / (len(methods) - 1) - 0.5)
        shares = rows[[name, f"{name}_low", f"{name}_high"]].to_numpy().T
        error = [shares[0] - shares[1], shares[2] - shares[0]]
        places = [place + shift for place in range(len(rows))]
        axes.errorbar(
            places, shares[0], yerr=error, color=colour, marker=mark, ls="", ms=5, elinewidth=1,
            label=method,
        )  # fmt: skip
    sizes = [f"{row.seeds}\n{row.groups}" for row in rows.itertuples()]
    axes.set_xticks(range(len(sizes)), sizes)
    axes.set_xlabel("seeds, above test groups")
    axes.set_ylim(-0.02, 1.02)
    axes.set_title(title, loc="left")
    if aim is not None:
        axes.axhline(aim, color="#444444", lw=1.2, ls="--", zorder=1)
