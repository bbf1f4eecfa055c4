"""Near-identical photos across groups and splits, and the groups that would keep them together."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.audit.chance import FEWEST_PHOTOS, fit_unrelated, scores_within
from pipeline.audit.fingerprints import fingerprints, learn_commonplace
from pipeline.audit.similarity import align, correlations_within

COLUMNS = [
    *("first", "second", "first_split", "second_split", "first_source", "second_source"),
    *("first_group", "second_group", "across_splits", "same_group"),
    *("correlation", "score", "expected_by_chance", "flip", "shift_down", "shift_right"),
]


@dataclass(frozen=True)
class Leakage:
    """What the comparison of N photos found.

    Attributes:
        pairs: one row (`COLUMNS`) for each near-identical pair, the most alike first; pairs of
            one source file (windows of one photo) are not among them.
        groups: proposal, a row for each source file: `image` and `group`, as `split.group_csv`
            reads them.
        total_pairs: pairs that were compared.
        too_few: there are too few photos to tell what is unusual; nothing was compared.
    """

    pairs: pd.DataFrame
    groups: pd.DataFrame
    total_pairs: int
    too_few: bool = False


def find_leakage(photos: np.ndarray, frame: pd.DataFrame, false_pairs: float) -> Leakage:
    """Compare every photo with every other.

    Args:
        photos: uint8 N×H×W×3.
        frame: N rows of a prepared set's manifest (id, split, group, source), in the same order.
        false_pairs: how many unrelated pairs may be reported by chance, see `AuditSettings`.
    """
    assert len(photos) == len(frame), (len(photos), len(frame))
    frame = frame.reset_index(drop=True)
    if len(frame) < FEWEST_PHOTOS:
        empty = pd.DataFrame(columns=COLUMNS)
        return Leakage(empty, propose_groups(frame, empty), 0, too_few=True)
    prints = fingerprints(photos, learn_commonplace(photos))
    correlations = correlations_within(prints)
    scores = scores_within(correlations)
    first, second = np.triu_indices(len(frame), 1)
    other_file = frame["source"].to_numpy(object)[first] != frame["source"].to_numpy(object)[second]
    first, second = first[other_file], second[other_file]
    values = scores[first, second]
    expected = fit_unrelated(values).expected(values, len(values))
    found = np.flatnonzero(expected <= false_pairs)
    found = found[np.argsort(-values[found], kind="stable")]
    pairs = _describe(frame, first[found], second[found])
    pairs["score"], pairs["expected_by_chance"] = values[found], expected[found]
    aligned = align(prints[first[found]], prints[second[found]])
    pairs = pairs.join(aligned)[COLUMNS]
    return Leakage(pairs, propose_groups(frame, pairs), len(values))


def _describe(frame: pd.DataFrame, first: np.ndarray, second: np.ndarray) -> pd.DataFrame:
    """What the manifest says of P pairs of rows."""
    sides = [
        frame.iloc[rows].reset_index(drop=True)[["id", "split", "source", "group"]]
        for rows in (first, second)
    ]
    table = sides[0].add_prefix("first_").join(sides[1].add_prefix("second_"))
    table["across_splits"] = table["first_split"] != table["second_split"]
    table["same_group"] = table["first_group"] == table["second_group"]
    return table.rename(columns={"first_id": "first", "second_id": "second"})


def groups_are_given(frame: pd.DataFrame) -> bool:
    """Whether the split was told which photos belong together: not every file is its own group."""
    return bool((frame["group"] != frame["source"]).any())


def propose_groups(frame: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Groups that hold near-identical photos, and the groups there are, together.

    Returns:
        A row for each source file, ordered by name: `image`, `group`. A group that has grown has
        the first of its former names; photos without a group are numbered.
    """
    files = frame.drop_duplicates("source").sort_values("source", ignore_index=True)
    index = pd.Series(files.index, index=files["source"])
    group_of, names = pd.factorize(files["group"])
    # A node for each file and each group there is; files hang on their group and on each other.
    ends = [
        (files.index, len(files) + group_of),
        (index[pairs["first_source"]], index[pairs["second_source"]]),
    ]
    rows, columns = (np.concatenate([np.asarray(e[i], int) for e in ends]) for i in (0, 1))
    nodes = len(files) + len(names)
    edges = coo_array((np.ones(len(rows)), (rows, columns)), shape=(nodes, nodes))
    member = connected_components(edges, directed=False)[1][: len(files)]
    number, _ = pd.factorize(member)  # by first appearance
    if groups_are_given(frame):
        first_name = files["group"].groupby(number).min()
        labels = first_name[number].to_numpy()
    else:
        labels = np.array([f"group{i + 1:04d}" for i in number])
    return pd.DataFrame({"image": files["source"], "group": labels})
