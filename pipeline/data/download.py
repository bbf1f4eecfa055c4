"""Fetching one large archive by HTTP: resumable, bounded, checked.

What has arrived lies in a `.part` file that outlives a broken connection and a killed process; the
next run asks the server for the rest (HTTP Range, RFC 9110 section 14), and only if the file there
is still the same (If-Range).
"""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import BinaryIO

from pydantic import Field

from pipeline.io.atomic import write_json
from pipeline.io.errors import UserError
from pipeline.io.images import sha256_of
from pipeline.io.params import Settings
from pipeline.io.progress import progress

CHUNK_BYTES = 1 << 18
MEGABYTE = 1_000_000


class DownloadSettings(Settings):
    """The part of the block `lemons` that says what to fetch. None = not checked."""

    url: str = Field(min_length=1)
    size_bytes: int | None = Field(ge=1)
    sha256: str | None = Field(pattern="^[0-9a-f]{64}$")
    largest_bytes: int = Field(ge=1)
    timeout_s: float = Field(gt=0)
    attempts: int = Field(ge=1, le=20)


class _InterruptedTransferError(Exception):
    """The connection broke after it had been made: worth another attempt."""


def fetch_archive(settings: DownloadSettings, folder: Path) -> Path:
    """The archive as a local file: a local `url` as it is, a remote one downloaded into `folder`.

    Raises:
        UserError: no such file, no network, refused by the server, too large, or not the
            expected size or SHA-256 (the download is then deleted).
    """
    local = _local_path(settings.url)
    if local is not None:
        if not local.is_file():
            raise UserError(f"lemons.url: {local} is no file; give the archive's path or address")
        _check(settings, local)
        return local
    target = folder / "archive.zip"
    if not target.exists():
        _download(settings, folder / "archive.zip.part")
        (folder / "archive.zip.part").rename(target)
    try:
        _check(settings, target)
    except UserError:
        target.unlink()
        raise
    return target


def _local_path(url: str) -> Path | None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme in ("http", "https"):
        return None
    if parts.scheme == "file":
        return Path(urllib.request.url2pathname(parts.path))
    if "://" in url:
        raise UserError(
            f"lemons.url: got {url!r}, expected http://, https://, file:/// or a local path"
        )
    return Path(url).expanduser()


def _check(settings: DownloadSettings, path: Path) -> None:
    size = path.stat().st_size
    if size > settings.largest_bytes:
        raise UserError(_too_large(settings, size))
    if settings.size_bytes is not None and size != settings.size_bytes:
        raise UserError(
            f"lemons.size_bytes: {settings.url} has {size} bytes, expected {settings.size_bytes}; "
            "correct the parameter if the archive was replaced on purpose, or set it to null"
        )
    if settings.sha256 is None:
        return
    digest = sha256_of(path)
    if digest != settings.sha256:
        raise UserError(
            f"lemons.sha256: {settings.url} has {digest}, expected {settings.sha256}; "
            "correct the parameter if the archive was replaced on purpose, or set it to null"
        )


def _download(settings: DownloadSettings, part: Path) -> None:
    for attempt in range(1, settings.attempts + 1):
        try:
            _continue_download(settings, part)
            return
        except _InterruptedTransferError as error:
            have = part.stat().st_size if part.exists() else 0
            print(f"connection lost after {have / MEGABYTE:.1f} MB ({error})", flush=True)
            if attempt == settings.attempts:
                raise UserError(
                    f"lemons.url: {settings.url}: the connection broke {attempt} times, last: "
                    f"{error}; {have} bytes are kept, run again to continue from there"
                ) from None


def _continue_download(settings: DownloadSettings, part: Path) -> None:
    """Append what `part` lacks.

    Raises:
        _InterruptedTransferError: the connection broke.
        UserError: whatever another attempt would not mend.
    """
    validator_file = part.with_suffix(".json")
    have, validator = _resume_point(part, validator_file, settings.url)
    headers = {"Accept-Encoding": "identity", "User-Agent": "lemonade"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    request = urllib.request.Request(settings.url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=settings.timeout_s) as response:
            start = _start_of(response, have)
            total = _total_bytes(response, start)
            if total is not None and total > settings.largest_bytes:
                raise UserError(_too_large(settings, total))
            write_json(validator_file, {"url": settings.url, "validator": _validator(response)})
            with part.open("ab" if start else "wb") as file:
                _copy(settings, response, file, start, total)
    except urllib.error.HTTPError as error:
        _explain_status(settings, error, part)
    except urllib.error.URLError as error:
        raise UserError(_no_network(settings.url, error.reason)) from None
    except (http.client.HTTPException, OSError) as error:
        raise _InterruptedTransferError(str(error) or type(error).__name__) from None


def _resume_point(part: Path, validator_file: Path, url: str) -> tuple[int, str]:
    """Bytes to keep and the validator they came with; 0 if it is not sure that they still fit."""
    try:
        content = json.loads(validator_file.read_text(encoding="utf-8"))
        same = content["url"] == url and content["validator"]
        return (part.stat().st_size, content["validator"]) if same else (0, "")
    except (OSError, ValueError, KeyError, TypeError):
        return 0, ""


def _validator(response: http.client.HTTPResponse) -> str:
    """What identifies the server's file; a weak tag (W/"…") does not promise the same bytes."""
    tag = response.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        return tag
    return response.headers.get("Last-Modified", "")


def _start_of(response: http.client.HTTPResponse, have: int) -> int:
    """Where the body begins: at `have` for 206, at 0 where the server sends everything anew."""
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0
    content_range = response.headers.get("Content-Range", "")
    if not content_range.startswith(f"bytes {have}-"):
        raise _InterruptedTransferError(
            f"asked for bytes from {have}, got Content-Range {content_range!r}"
        )
    return have


def _total_bytes(response: http.client.HTTPResponse, start: int) -> int | None:
    length = response.headers.get("Content-Length")
    return None if length is None else start + int(length)


def _copy(
    settings: DownloadSettings,
    response: http.client.HTTPResponse,
    file: BinaryIO,
    start: int,
    total: int | None,
) -> None:
    done = start
    megabytes = (total or settings.largest_bytes) // MEGABYTE
    with progress(megabytes, "download, MB", initial=start // MEGABYTE) as bar:
        while chunk := response.read(CHUNK_BYTES):
            if done + len(chunk) > settings.largest_bytes:
                raise UserError(_too_large(settings, done + len(chunk)))
            _write(file, chunk)
            bar.update((done + len(chunk)) // MEGABYTE - done // MEGABYTE)
            done += len(chunk)
    if total is not None and done < total:
        raise _InterruptedTransferError(f"{done} of {total} bytes")


def _write(file: BinaryIO, chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:  # a full disk is no broken connection
        raise UserError(f"{file.name}: cannot write the download: {error}") from None


def _explain_status(settings: DownloadSettings, error: urllib.error.HTTPError, part: Path) -> None:
    if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        # The server has no more than what is here: whole, or no longer the same file.
        if error.headers.get("Content-Range") == f"bytes */{part.stat().st_size}":
            return
        part.unlink()
        raise _InterruptedTransferError("the partial file did not fit the server's; starting anew")
    if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _InterruptedTransferError(f"HTTP {error.code} {error.reason}")
    raise UserError(_no_network(settings.url, f"HTTP {error.code} {error.reason}")) from None


def _no_network(url: str, cause: object) -> str:
    return (
        f"lemons.url: cannot download {url}: {cause}. Check the network (proxy: https_proxy), or "
        "fetch the archive on another machine and give its path here: "
        "lemons.url: /path/to/lemon-dataset.zip in data/lemons/params.yaml"
    )


def _too_large(settings: DownloadSettings, size: int) -> str:
    return (
        f"lemons.largest_bytes: {settings.url} has {size} bytes or more, allowed are "
        f"{settings.largest_bytes}; raise the limit if you trust the source"
    )
