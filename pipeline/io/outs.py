"""Reading what an earlier stage wrote: what is missing or damaged names its file and the stage."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pipeline.io.errors import UserError
from pipeline.io.failures import explain
from pipeline.io.one_line import one_line


@contextlib.contextmanager
def written_by(stage: str, path: Path) -> Iterator[None]:
    """Name `path` if the block, which should do nothing but read it, finds it damaged.

    Args:
        stage: that wrote it, as DVC calls it.
        path: a file or folder.

    Raises:
        UserError: it is missing, or not what that stage writes. Readers of JSON, Parquet and
            tensors raise a dozen types for a damaged file.
    """
    try:
        yield
    except FileNotFoundError as error:
        missing = error.filename or path
        raise UserError(f"{missing}: not found; run `dvc repro {stage}` first") from None
    except UserError:
        raise
    except Exception as error:
        if explain(error) is not None:  # a full disk, no permission, too little memory
            raise
        told = one_line(f"{type(error).__name__}: {error}")
        remedy = f"`dvc checkout --force`, or `dvc repro --force --single-item {stage}`"
        raise UserError(
            f"{path}: damaged, got {told}, expected what {stage} wrote; run {remedy}"
        ) from None
