"""The chosen subset's classes in a data set of another domain, which may name fewer categories."""

from pipeline.data.records import Reading
from pipeline.data.subsets import SubsetSettings
from pipeline.io.errors import UserError


def in_other_domain(
    name: str, subset: SubsetSettings, reading: Reading
) -> tuple[SubsetSettings, list[str]]:
    """The subset with the categories that the external data set has, and what to tell the user.

    The classes stay the same, so that a segmenter's labels keep their meaning. A class made of
    several categories may miss some; one of which nothing is labelled cannot be measured.

    Args:
        name: of the subset.
        subset: as the training set uses it.
        reading: the external data set.

    Raises:
        UserError: a class has none of its categories there.
    """
    classes, notes = {}, []
    for field, listed in subset.classes.items():
        classes[field] = [category for category in listed if category in reading.categories]
        missing = ", ".join(repr(c) for c in listed if c not in reading.categories)
        if not classes[field]:
            raise UserError(
                f"subsets.{name}.classes.{field}: got a data set without {missing}, expected at "
                f"least one category of each class; it has: "
                f"{', '.join(reading.categories) or 'none'}. Rename its categories "
                "(external.dataset.folders.class_name) or choose a subset that both sets have"
            )
        if missing:
            notes.append(f"class {field}: the external data set has no category {missing}")
    ignored = [category for category in subset.ignored if category in reading.categories]
    return subset.model_copy(update={"classes": classes, "ignored": ignored}), notes
