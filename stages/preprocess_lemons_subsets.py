"""Stage preprocess-lemons-subsets: from a labelled data set to the prepared set."""

from pathlib import Path

from pipeline.data.fitting import ImageSettings
from pipeline.data.prepared_set import Choice, write_prepared_set
from pipeline.data.problems import list_beside
from pipeline.data.readers import DatasetSettings, read_dataset
from pipeline.data.splits import SplitSettings
from pipeline.data.subsets import SubsetSettings, subset_table
from pipeline.io.atomic import output_folder
from pipeline.io.errors import UserError, run
from pipeline.io.params import parse, read_params, section, value

OUT = Path("data/prepared")


def main() -> None:
    """Read the data set, print what each subset would hold, and write the chosen one."""
    params = read_params()
    dataset = section(DatasetSettings, "dataset", params)
    subsets = {
        name: parse(SubsetSettings, f"subsets.{name}", entry)
        for name, entry in value("subsets", params).items()
    }
    chosen = value("subset", params)
    if chosen not in subsets:
        raise UserError(f"subset: got {chosen!r}, expected one of {', '.join(subsets)}")
    choice = Choice(
        dataset,
        chosen,
        subsets[chosen],
        section(ImageSettings, "image", params),
        section(SplitSettings, "split", params),
        value("seed", params),
    )
    with list_beside(OUT), output_folder(OUT) as folder:
        reading = read_dataset(dataset)
        print(
            f"{dataset.path}: {len(reading.records)} photos, {len(reading.categories)} categories"
        )
        print(subset_table(reading, subsets, chosen, dataset.object_category))
        for paragraph in write_prepared_set(reading, choice, folder):
            print(paragraph)


if __name__ == "__main__":
    run(main, lower="image.height or image.width")
