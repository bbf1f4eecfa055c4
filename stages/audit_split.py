"""Stage audit-split: near-identical photos on two sides of the split, found before any training."""

from pathlib import Path

from pipeline.audit.settings import AuditSettings
from pipeline.io.atomic import output_folder, write_json, write_text
from pipeline.io.errors import run
from pipeline.io.manifests import read_split, read_test
from pipeline.io.params import read_params, section
from pipeline.io.unused import write_unused

PREPARED, OUT = Path("data/prepared"), Path("data/audit")


def main() -> None:
    """Write the pairs, a picture of them, groups that keep them together, and say what to do."""
    settings = section(AuditSettings, "audit", read_params())
    if not settings.enabled:
        write_unused("audit-split", OUT, "audit.enabled is false")
        return
    import pandas as pd

    from pipeline.audit import findings
    from pipeline.audit.leakage import find_leakage, groups_are_given
    from pipeline.audit.names import find_name_hint

    # Test photos, too, as a copy among them is what is looked for; nothing is learned or chosen.
    parts = [read_split(PREPARED, "train"), read_split(PREPARED, "val"), read_test(PREPARED)]
    frame = pd.concat(parts, ignore_index=True)
    photos = findings.read_photos(PREPARED, frame)
    leakage = find_leakage(photos, frame, settings.false_pairs)
    hint = None
    if not groups_are_given(frame):
        hint = find_name_hint(photos, frame["source"].tolist(), leakage.pairs)
    figures = findings.summarise(leakage, frame, hint)
    told, pairs = findings.tell(leakage, figures), findings.across_groups(leakage)
    with output_folder(OUT) as folder:
        write_text(folder / "leakage.csv", pairs.to_csv(index=False, float_format="%.4g"))
        write_text(folder / "groups.csv", leakage.groups.to_csv(index=False))
        shown = findings.worth_seeing(leakage, settings.pictured_pairs)
        findings.draw_pairs(photos, frame, shown, folder / "pairs.png")
        write_json(folder / "summary.json", {**figures, "told": told})
    for paragraph in told:
        print(f"audit-split: {paragraph}")


if __name__ == "__main__":
    run(main)
