"""Stage preprocess-external: a labelled data set of another domain, to test the segmenters on."""

from pathlib import Path

from pipeline.io.atomic import output_folder
from pipeline.io.errors import UserError, run
from pipeline.io.params import parse, read_params, section, value
from pipeline.io.unused import write_unused
from pipeline.segmentation.external_settings import ExternalSettings

OUT = Path("data/external")


def main() -> None:
    """Write that it is not used, or the external set with the classes of the chosen subset."""
    params = read_params()
    if not section(ExternalSettings, "external", params).enabled:
        write_unused("preprocess-external", OUT, "external.enabled is false")
        return
    # imported here: an unused stage must not wait for the readers
    from pipeline.data.external_subset import in_other_domain
    from pipeline.data.fitting import ImageSettings
    from pipeline.data.prepared_set import Choice, write_prepared_set
    from pipeline.data.problems import list_beside
    from pipeline.data.readers import DatasetSettings, read_dataset
    from pipeline.data.splits import ExternalSplitSettings
    from pipeline.data.subsets import SubsetSettings

    dataset = section(DatasetSettings, "external.dataset", params)
    split = section(ExternalSplitSettings, "external.split", params)
    image, chosen = section(ImageSettings, "image", params), value("subset", params)
    subset = parse(SubsetSettings, f"subsets.{chosen}", value(f"subsets.{chosen}", params))
    try:
        with list_beside(OUT), output_folder(OUT) as folder:
            reading = read_dataset(dataset)
            print(f"{dataset.path}: {len(reading.records)} photos of another domain")
            narrowed, notes = in_other_domain(chosen, subset, reading)
            choice = Choice(dataset, chosen, narrowed, image, split, value("seed", params))
            for paragraph in [*notes, *write_prepared_set(reading, choice, folder)]:
                print(paragraph)
    except UserError as error:
        raise UserError(f"the external data set (section external): {error}") from None


if __name__ == "__main__":
    run(main, lower="image.height or image.width")
