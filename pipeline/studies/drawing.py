"""A study's figures: a panel for each architecture or measure of quality, baselines as lines.

Colours are those of Okabe and Ito, which colour-blind readers tell apart; the values of a second
axis have marks of their own.
"""

import io
import itertools
import textwrap
from collections.abc import Hashable

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from pipeline.studies.naming import architecture_name, figure_name
from pipeline.studies.results import is_judged
from pipeline.studies.study import MIX, FigureSettings

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKS = ("o", "D", "s", "^", "v", "P", "X")
PANEL_IN = (3.4, 3.9)
PLACE_IN = 0.9  # of a word on the x axis
LEGEND_IN = 0.28
SPREAD = 0.62  # of the space between two places that the marks of one place take
DPI = 150
LABEL_SIGNS = 12
BASELINE = {"color": "#444444", "lw": 1.2, "ls": "--"}
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
}


def draw(table: pd.DataFrame, axes: list[str], settings: FigureSettings) -> bytes:
    """The figure as PNG.

    Marks are means over the seeds with one standard deviation either way, or differences with
    their intervals. Numbers on the x axis keep their distances, or their ratios, and are joined
    by lines.

    Args:
        table: the result of `results.compare`.
        axes: names of the axes.
        settings: what is drawn over what.
    """
    arms = table[is_judged(table)]
    series = [name for name in (*axes, MIX) if name != settings.x]
    series = [name for name in series if arms[name].nunique() > 1]
    places = _places(arms[settings.x])
    looks = _looks(arms, series)
    architectures = list(dict.fromkeys(table["architecture"]))
    with mpl.rc_context(STYLE):
        width, height = PANEL_IN
        if _are_words(places):
            width = max(width, PLACE_IN * len(places))
        rows = -(-(len(looks) + 1) // _columns(looks))
        size = (max(width * len(architectures), 5.0), height + LEGEND_IN * rows)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, len(architectures), sharey=True, squeeze=False)[0]
        for panel, name in zip(panels, architectures, strict=True):
            of_one = arms["architecture"] == name
            _draw_panel(panel, arms[of_one], settings, series, places, looks)
            _draw_baselines(panel, table[table["architecture"] == name], settings, places)
            panel.set_title(architecture_name(name))
            _label_places(panel, arms[of_one], settings, places)
        what = f"{figure_name(settings.y)} on {settings.photos}"
        panels[0].set_ylabel(f"{what},\nabove the baseline's" if settings.difference else what)
        _tell_apart(figure, "baseline", looks, series)
        return _as_png(figure)


def draw_quality(quality: pd.DataFrame, axes: list[str], settings: FigureSettings) -> bytes:
    """What the synthetic sets are like, as PNG: a panel for each figure that any of them has.

    Bars are one deviation either way. A dashed line is the same figure of real photos.

    Args:
        quality: the result of `quality.read_quality`.
        axes: names of the axes.
        settings: of the study's figure; its x, or the first axis where that is the mix.
    """
    x = settings.x if settings.x != MIX else axes[0]
    series = [name for name in axes if name != x and quality[name].nunique() > 1]
    places, looks = _places(quality[x]), _looks(quality, series)
    valued = quality.dropna(subset=["value"])
    names = list(dict.fromkeys((quality if valued.empty else valued)["name"]))
    with mpl.rc_context(STYLE):
        width, height = PANEL_IN
        if _are_words(places):
            width = max(width, PLACE_IN * len(places))
        rows = -(-(len(looks) + 1) // _columns(looks))
        size = (max(width * len(names), 5.0), height + LEGEND_IN * rows)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, len(names), squeeze=False)[0]
        for panel, name in zip(panels, names, strict=True):
            mine = quality[quality["name"] == name]
            marked = mine.rename(columns={"value": name, "deviation": f"{name}_sd"})
            shown = settings.model_copy(update={"y": name, "x": x, "difference": False})
            _draw_panel(panel, marked, shown, series, places, looks)
            panel.axhline(mine["reference"].mean(), zorder=1, **BASELINE)
            panel.set_title(figure_name(name))
            _label_places(panel, marked, shown, places)
        _tell_apart(figure, "real photos", looks, series)
        return _as_png(figure)


def _tell_apart(
    figure: Figure, dashed: str, looks: dict[tuple, tuple[str, str]], series: list[str]
) -> None:
    """A legend below the panels, if there is more to tell than the dashed line."""
    handles = [Line2D([], [], label=dashed, **BASELINE)]
    handles += [
        Line2D([], [], color=colour, marker=mark, ls="", label=", ".join(map(str, key)))
        for key, (colour, mark) in looks.items()
    ]
    if len(handles) > 2:
        title = ", ".join(series)
        width, height = figure.get_size_inches()
        most = _columns(looks)
        for columns in range(most, 0, -1):
            legend = figure.legend(
                handles=handles, loc="outside lower center", ncols=columns, title=title
            )
            further = -(-len(handles) // columns) - -(-len(handles) // most)
            figure.set_size_inches(width, height + LEGEND_IN * further)
            if columns == 1 or _fits(figure, legend):
                break
            legend.remove()


def _columns(looks: dict[tuple, tuple[str, str]]) -> int:
    """Of the legend, which also names the dashed line: three, or all four in one row, at most."""
    return 4 if len(looks) == 3 else 3


def _fits(figure: Figure, legend: Legend) -> bool:
    figure.draw_without_rendering()
    return legend.get_window_extent().width < 0.98 * figure.bbox.width


def _as_png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _places(values: pd.Series) -> dict[Hashable, float]:
    """Where each value stands on the x axis: numbers where they are, words side by side."""
    names = list(dict.fromkeys(values))
    numbers = pd.to_numeric(pd.Series(names), errors="coerce")
    if numbers.notna().all():
        return dict(zip(names, numbers.tolist(), strict=True))
    return {name: float(place) for place, name in enumerate(names)}


def _looks(arms: pd.DataFrame, series: list[str]) -> dict[tuple, tuple[str, str]]:
    """Colour by the first of `series`, mark by all others."""
    first = list(dict.fromkeys(arms[series[0]])) if series else []
    others = list(dict.fromkeys(arms[series[1:]].itertuples(index=False, name=None)))
    colours, marks = itertools.cycle(COLOURS), itertools.cycle(MARKS)
    colour_of = dict(zip(first, colours, strict=False))
    mark_of = dict(zip(others, marks, strict=False))
    keys = dict.fromkeys(arms[series].itertuples(index=False, name=None))
    if not series:
        return {(): (COLOURS[0], MARKS[0])}
    return {key: (colour_of[key[0]], mark_of[key[1:]]) for key in keys}


def _draw_panel(
    panel: Axes,
    arms: pd.DataFrame,
    settings: FigureSettings,
    series: list[str],
    places: dict[Hashable, float],
    looks: dict[tuple, tuple[str, str]],
) -> None:
    numeric = not _are_words(places)
    column = f"{settings.y}_difference" if settings.difference else settings.y
    reach = _reach(arms, settings)
    shifts = np.linspace(-SPREAD / 2, SPREAD / 2, len(looks)) if len(looks) > 1 else [0.0]
    for shift, (key, (colour, mark)) in zip(shifts, looks.items(), strict=True):
        mine = (arms[series] == list(key)).all(axis=1)
        x = arms.loc[mine, settings.x].map(places) + (0.0 if numeric else shift)
        order = np.argsort(x.to_numpy(), kind="stable")
        panel.errorbar(
            x.to_numpy()[order],
            arms.loc[mine, column].to_numpy()[order],
            yerr=reach[mine].to_numpy()[order],
            color=colour,
            marker=mark,
            ls="-" if numeric else "",
            ms=5.5,
            lw=1.2,
            elinewidth=0.9,
        )


def _reach(arms: pd.DataFrame, settings: FigureSettings) -> pd.Series:
    """How far the bars go up and down: a difference's interval, or the spread over the seeds."""
    if not settings.difference:
        return arms[f"{settings.y}_sd"].fillna(0)
    return ((arms[f"{settings.y}_high"] - arms[f"{settings.y}_low"]) / 2).fillna(0)


def _draw_baselines(
    panel: Axes, table: pd.DataFrame, settings: FigureSettings, places: dict[Hashable, float]
) -> None:
    """A line at each mix's own baseline, or across the panel if mixes are told apart otherwise."""
    if settings.difference:
        panel.axhline(0, zorder=1, **BASELINE)
        return
    # a baseline may itself be compared with another mix
    levels = table.groupby("mix")[settings.y].unique()
    arms = table[is_judged(table)].drop_duplicates(["mix", "baseline"])
    for mix, baseline in zip(arms["mix"], arms["baseline"], strict=True):
        start, end = panel.get_xlim()
        if settings.x == MIX:
            start, end = places[mix] - 0.45, places[mix] + 0.45
        for level in levels[baseline]:
            panel.plot([start, end], [level, level], scalex=False, zorder=1, **BASELINE)


def _label_places(
    panel: Axes, arms: pd.DataFrame, settings: FigureSettings, places: dict[Hashable, float]
) -> None:
    panel.set_xlabel(settings.x if settings.x != MIX else "real (#R) and synthetic (#S) pairs")
    if not _are_words(places):
        if settings.logarithmic:
            panel.set_xscale("log")
            panel.set_xticks(list(places.values()), list(map(str, places)))
            panel.minorticks_off()
        return
    labels = {name: _wrapped(str(name)) for name in places}
    if settings.x == MIX:
        # as `real all`, `synthetic 100`: its words have spaces to wrap at
        labels = {name: "\n".join(map(_wrapped, _parts(str(name)))) for name in places}
        size = ["real", "synthetic", "also"]
        for mix, rows in arms.drop_duplicates([MIX, *size]).groupby(MIX):
            # a mix whose size differs between the cells is told by its name
            if len(rows) == 1:
                real, synthetic, also = rows[size].iloc[0]
                lines = [f"#R {real}", f"#S {synthetic}", _wrapped(also)]
                labels[mix] = "\n".join(filter(None, lines))
    panel.set_xticks(list(places.values()), list(labels.values()))
    panel.set_xlim(min(places.values()) - 0.5, max(places.values()) + 0.5)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, LABEL_SIGNS, break_long_words=False)


def _parts(mix: str) -> list[str]:
    """`real_all-synthetic_100` as `real all` and `synthetic 100`."""
    return mix.replace("_", " ").split("-")


def _are_words(places: dict[Hashable, float]) -> bool:
    return pd.to_numeric(pd.Series(list(places)), errors="coerce").isna().any()
