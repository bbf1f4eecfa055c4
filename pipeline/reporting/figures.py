"""The page's figures: matplotlib drawings as SVG text that takes its colours from the page.

Colours are replaced by CSS variables after drawing, so one drawing serves the light and the dark
page. The data's are those of Okabe and Ito, which colour-blind readers tell apart; every series
also has a marker or a line style of its own.
"""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.io.manifests import ClassInfo

BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
YELLOW, SKY = "#e69f00", "#56b4e9"
INK, GRID = "#010203", "#040506"
THEMED = {
    INK: "var(--ink)",
    GRID: "var(--line)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREEN: "var(--green)",
    PURPLE: "var(--purple)",
}
PANEL_WIDTH_IN = 4.9
SIZE_BINS = 12
SIDES = {"real": (BLUE, "-"), "synthetic": (ORANGE, "--")}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lemonade",
    "font.size": 11,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
}
KINDS: dict[str, tuple[str, str]] = {
    "real": (BLUE, "o"),
    "synthetic": (ORANGE, "s"),
    "real and synthetic": (GREEN, "D"),
}
LINE_STYLES = [
    (colour, line)
    for line in ("-", "--", ":")
    for colour in (BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY)
]


def mix_chart(runs: pd.DataFrame, kinds: Mapping[str, str], baselines: Mapping[str, str]) -> str:
    """Defect IoU of one architecture: a row per mix, a small mark per seed, a large one the mean.

    Args:
        runs: mix, seed, defect_iou, in the order of the rows.
        kinds: of each mix, what it holds: a key of `KINDS`.
        baselines: of each mix, the mix it is compared with; a tick shows that one's mean.
    """
    mixes = list(dict.fromkeys(runs["mix"]))
    means = runs.groupby("mix")["defect_iou"].mean()
    with _drawing(0.9 + 0.34 * len(mixes)) as figure:
        axes = figure.subplots()
        for row, mix in enumerate(mixes):
            colour, marker = KINDS[kinds[mix]]
            points = runs.loc[runs["mix"] == mix, "defect_iou"]
            reference = means[baselines[mix]]
            axes.plot([reference, means[mix]], [row, row], color=colour, lw=2, alpha=0.45)
            axes.plot([reference] * 2, [row - 0.3, row + 0.3], color=INK, lw=1.4)
            axes.plot(points, [row] * len(points), marker, color=colour, ms=5, alpha=0.55, mew=0)
            axes.plot([means[mix]], [row], marker, color=colour, ms=9, mew=0)
        axes.set_yticks(range(len(mixes)), mixes)
        axes.set_ylim(len(mixes) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("defect IoU on the real test photos")
        _pad_within_unit(axes)
        return _svg(figure)


def training_chart(curve: pd.DataFrame) -> str:
    """Loss of the diffusion training over steps, and the validation loss where it was measured."""
    with _drawing(2.9) as figure:
        axes = figure.subplots()
        axes.plot(curve["step"], curve["loss"], color=BLUE, lw=1.6, label="training")
        if "val_loss" in curve and curve["val_loss"].notna().any():
            held_out = curve.dropna(subset=["val_loss"])
            axes.plot(
                held_out["step"], held_out["val_loss"], color=ORANGE, lw=1.6, ls="--",
                label="validation",
            )  # fmt: skip
            axes.legend(loc="upper right")
        if curve["loss"].min() > 0 and curve["loss"].max() > 8 * curve["loss"].min():
            axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        return _svg(figure)


def divergence_chart(curve: pd.DataFrame) -> str:
    """Divergence of the samples' colours from the training photos' over steps, in nats."""
    measured = curve.dropna(subset=["colour_divergence"])
    with _drawing(2.9) as figure:
        axes = figure.subplots()
        axes.plot(
            measured["step"], measured["colour_divergence"], color=GREEN, lw=1.6, marker="o", ms=4
        )
        axes.set_ylim(bottom=0)
        axes.set_xlabel("step")
        axes.set_ylabel("divergence, nats")
        return _svg(figure)


def validation_chart(curves: pd.DataFrame) -> str:
    """Defect IoU on the validation photos while the segmenters of one architecture train.

    Args:
        curves: mix, seed, step, val_defect_iou; a line is the mean over seeds.
    """
    mixes = list(dict.fromkeys(curves["mix"]))
    with _drawing(2.9 + 0.22 * len(mixes)) as figure:
        axes = figure.subplots()
        for mix, (colour, line) in zip(mixes, LINE_STYLES * len(mixes), strict=False):
            mean = curves[curves["mix"] == mix].groupby("step")["val_defect_iou"].mean()
            axes.plot(mean.index, mean, color=colour, ls=line, lw=1.6, label=mix)
        axes.set_xlabel("step")
        axes.set_ylabel("defect IoU, validation")
        figure.legend(loc="outside lower left", fontsize=10)
        return _svg(figure)


def size_chart(
    regions: Mapping[str, pd.DataFrame],
    objects: Mapping[str, np.ndarray],
    classes: list[ClassInfo],
) -> str:
    """Histograms of the sizes of each class's regions and of the objects, real against synthetic.

    Args:
        regions: side (a key of `SIDES`) → class_index and pixels of each region.
        objects: side → shares of the frame; empty without silhouettes.
        classes: background first.
    """
    panels = []
    for item in classes[1:]:
        sizes = {
            side: frame.loc[frame["class_index"] == item.index, "pixels"].to_numpy(float)
            for side, frame in regions.items()
        }
        panels.append((f"pixels of a region: {item.name}", sizes, True))
    if all(len(shares) for shares in objects.values()):
        percent = {side: 100 * shares for side, shares in objects.items()}
        panels.append(("per cent of the frame: the object", percent, False))
    with _drawing(0.5 + 1.7 * len(panels)) as figure:
        rows = figure.subplots(len(panels), squeeze=False)[:, 0]
        for axes, (label, sizes, is_log) in zip(rows, panels, strict=True):
            _histogram(axes, sizes, is_log)
            axes.set_xlabel(label)
            axes.set_ylabel("share")
        figure.legend(*rows[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
        return _svg(figure)


def _histogram(axes: Axes, sizes: Mapping[str, np.ndarray], is_log: bool) -> None:
    """Outlines of the sides' histograms, each of its own total, over the same bins."""
    everything = np.concatenate(list(sizes.values()))
    if is_log:
        axes.set_xscale("log")
    for side, values in sizes.items():
        colour, line = SIDES[side]
        if not len(values):
            axes.plot([], [], color=colour, ls=line, label=f"{side}: none")
            continue
        low, high = everything.min(), everything.max()
        low, high = (low * 0.97, high * 1.03) if low == high else (low, high)
        edges = (np.geomspace if is_log else np.linspace)(low, high, SIZE_BINS + 1)
        edges[[0, -1]] = low, high  # geomspace misses them by rounding
        counts, _ = np.histogram(values, edges)
        shares = counts / len(values)
        axes.stairs(shares, edges, color=colour, fill=True, alpha=0.15)
        axes.stairs(shares, edges, color=colour, ls=line, lw=1.8, label=side)


def places_chart(places: Mapping[str, np.ndarray], classes: list[ClassInfo]) -> str:
    """Where defects lie in the frame: a row per class, real masks beside synthetic ones.

    Args:
        places: side → float C×H×W, in which share of the masks a pixel shows the class.
        classes: background first.
    """
    height, width = next(iter(places.values())).shape[1:]
    row_in = 0.45 * PANEL_WIDTH_IN * height / width + 0.35
    with _drawing(0.2 + row_in * (len(classes) - 1)) as figure:
        rows = figure.subplots(len(classes) - 1, len(places), squeeze=False)
        for panels, item in zip(rows, classes[1:], strict=True):
            highest = max(share[item.index].max() for share in places.values())
            for axes, (side, share) in zip(panels, places.items(), strict=True):
                heat = axes.imshow(100 * share[item.index], vmin=0, vmax=100 * max(highest, 1e-9))
                axes.set(xticks=[], yticks=[], title=f"{item.name}, {side}")
                axes.grid(visible=False)
            scale = figure.colorbar(heat, ax=list(panels), shrink=0.85)
            scale.set_label("% of the masks")
            scale.outline.set_visible(False)
        return _svg(figure)


@contextmanager
def _drawing(height_in: float) -> Iterator[Figure]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PANEL_WIDTH_IN, height_in), layout="constrained")
        figure.patch.set_visible(False)
        yield figure


def _pad_within_unit(axes: Axes) -> None:
    """Widen the x axis so that no mark is cut, and keep it within what an IoU can be."""
    low, high = axes.get_xlim()
    low, high = max(low - 0.02, -0.02), min(high + 0.02, 1.02)
    axes.set_xlim(low, high)


def _svg(figure: Figure) -> str:
    """The drawing as an `<svg>` element without fixed size, in the page's colours and font."""
    for axes in figure.axes:
        axes.patch.set_visible(False)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # several drawings share one page
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"font: (\d+(?:\.\d+)?px) [^;\"]*", r"font-size: \1", text)
    for colour, variable in THEMED.items():
        text = text.replace(colour, variable)
    return text.replace("<svg ", '<svg aria-hidden="true" ', 1)
