"""Stage evaluate-samples: the quality of the synthetic set, beside what real photos score."""

from pathlib import Path

import pandas as pd

from pipeline.audit.copies import write_copies
from pipeline.generation_quality.evaluation import Evaluation
from pipeline.generation_quality.settings import QualitySettings
from pipeline.generation_quality.table import to_flat, to_frame, to_lines
from pipeline.io.atomic import output_folder, write_json, write_text
from pipeline.io.errors import run
from pipeline.io.params import read_params, section, value

PREPARED, SYNTHETIC = Path("data/prepared"), Path("data/synthetic")
FILTERED, OUT = Path("data/filtered"), Path("data/generation")


def main() -> None:
    """Write figures.json, figures.csv and what is known of copies of training photos."""
    params = read_params()
    settings = section(QualitySettings, "evaluate_samples", params)
    evaluation = Evaluation(PREPARED, SYNTHETIC, settings, value("seed", params))
    photos = evaluation.look()
    features = {name: each.features for name, each in photos.items()}
    rows = evaluation.rows(photos, *_out_of_fold_scores())
    with output_folder(OUT) as folder:
        write_json(folder / "figures.json", to_flat(rows))
        write_text(folder / "figures.csv", to_frame(rows).to_csv(index=False))
        sets, pictured = (PREPARED, SYNTHETIC), settings.pictured_photos
        copies = write_copies(folder, *sets, pictured, features, evaluation.seed)
    for line in [*to_lines(rows), copies]:
        print(f"evaluate-samples: {line}")


def _out_of_fold_scores() -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    """Scores of the synthetic and of the training pairs; None without judges out of fold."""
    real = FILTERED / "real_scores.parquet"
    if not real.exists():
        return None, None
    return pd.read_parquet(FILTERED / "scores.parquet"), pd.read_parquet(real)


if __name__ == "__main__":
    run(main, lower="sampling.count or image.height")
