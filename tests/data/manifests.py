"""Manifests of sets whose files are not looked at."""

import pandas as pd


def manifest(ids: list[str], **columns) -> pd.DataFrame:
    frame = pd.DataFrame({"id": ids, **columns})
    for name in ("image", "mask"):
        frame[name] = f"{name}s/" + frame["id"] + ".png"
        frame[f"{name}_sha256"] = "hash-of-" + frame[name]
    return frame
