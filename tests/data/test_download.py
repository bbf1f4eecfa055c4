"""The download, against a server on 127.0.0.1 that can break, lie and refuse."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.data.download import DownloadSettings, fetch_archive
from pipeline.io.errors import UserError

CONTENT = bytes(range(256)) * 4000
TAG = '"first"'


class Handler(BaseHTTPRequestHandler):
    """Serves `server.content`; `server.break_after` bytes an answer, once for each in the list."""

    def do_GET(self):
        server = self.server
        server.requests.append(dict(self.headers))
        if server.status != 200:
            self.send_error(server.status)
            return
        content, start = server.content, 0
        wanted = self.headers.get("Range")
        if wanted and server.ranges and self.headers.get("If-Range") == server.tag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if server.tag:
            self.send_header("ETag", server.tag)
        if server.tell_length:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if server.break_after:
            body = body[: server.break_after.pop(0)]
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.content, made.tag, made.status = CONTENT, TAG, 200
    made.ranges, made.tell_length, made.break_after, made.requests = True, True, [], []
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def settings_for(server, **changes) -> DownloadSettings:
    fields = {
        "url": f"http://127.0.0.1:{server.server_address[1]}/lemons.zip",
        "size_bytes": None,
        "sha256": None,
        "largest_bytes": 10_000_000,
        "timeout_s": 5.0,
        "attempts": 3,
    }
    return DownloadSettings(**(fields | changes))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_download_with_matching_size_and_hash(server, tmp_path):
    digest = hashlib.sha256(CONTENT).hexdigest()
    settings = settings_for(server, size_bytes=len(CONTENT), sha256=digest)
    path = fetch_archive(settings, tmp_path)
    assert path.read_bytes() == CONTENT
    assert fetch_archive(settings, tmp_path) == path
    assert len(server.requests) == 1


def test_a_broken_connection_is_continued_where_it_broke(server, tmp_path):
    server.break_after = [300_000, 200_000]
    assert fetch_archive(settings_for(server), tmp_path).read_bytes() == CONTENT
    ranges = [headers.get("Range") for headers in server.requests]
    assert ranges == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_run_continues_and_the_attempts_are_bounded(server, tmp_path):
    server.break_after = [100_000, 50_000]
    with pytest.raises(UserError, match=r"broke 2 times.*150000 bytes are kept"):
        fetch_archive(settings_for(server, attempts=2), tmp_path)
    assert not (tmp_path / "archive.zip").exists()
    assert fetch_archive(settings_for(server), tmp_path).read_bytes() == CONTENT
    assert server.requests[-1]["Range"] == "bytes=150000-"


def test_a_file_that_changed_on_the_server_starts_anew(server, tmp_path):
    server.break_after = [100_000]
    with pytest.raises(UserError):
        fetch_archive(settings_for(server, attempts=1), tmp_path)
    server.content, server.tag = b"another" * 50_000, '"second"'
    assert fetch_archive(settings_for(server), tmp_path).read_bytes() == server.content


@pytest.mark.parametrize("tag", [None, 'W/"weak"'])
def test_without_a_strong_validator_nothing_is_resumed(server, tmp_path, tag):
    server.tag, server.break_after = tag, [100_000]
    assert fetch_archive(settings_for(server), tmp_path).read_bytes() == CONTENT
    assert [headers.get("Range") for headers in server.requests] == [None, None]


def test_a_server_without_ranges_sends_everything_anew(server, tmp_path):
    server.ranges, server.break_after = False, [100_000]
    assert fetch_archive(settings_for(server), tmp_path).read_bytes() == CONTENT


def test_a_part_that_was_already_whole_is_taken(server, tmp_path):
    server.break_after = [1000]
    with pytest.raises(UserError):
        fetch_archive(settings_for(server, attempts=1), tmp_path)
    (tmp_path / "archive.zip.part").write_bytes(CONTENT)
    assert fetch_archive(settings_for(server), tmp_path).read_bytes() == CONTENT
    (tmp_path / "archive.zip").rename(tmp_path / "archive.zip.part")
    (tmp_path / "archive.zip.part").write_bytes(CONTENT + b"more")
    assert fetch_archive(settings_for(server), tmp_path).read_bytes() == CONTENT


def test_wrong_hash_and_wrong_size_are_named_and_the_file_goes(server, tmp_path):
    with pytest.raises(UserError, match=r"lemons\.sha256: .* expected 0000"):
        fetch_archive(settings_for(server, sha256="0" * 64), tmp_path)
    assert not (tmp_path / "archive.zip").exists()
    with pytest.raises(UserError, match=r"lemons\.size_bytes: .*1024000 bytes, expected 5"):
        fetch_archive(settings_for(server, size_bytes=5), tmp_path)


@pytest.mark.parametrize("tell_length", [True, False])
def test_an_endless_answer_is_cut_at_the_limit(server, tmp_path, tell_length):
    server.tell_length = tell_length
    with pytest.raises(UserError, match=r"lemons\.largest_bytes: .* allowed are 600000"):
        fetch_archive(settings_for(server, largest_bytes=600_000), tmp_path)
    part = tmp_path / "archive.zip.part"
    assert not part.exists() or part.stat().st_size <= 600_000


def test_refusals_are_not_retried_but_server_errors_are(server, tmp_path):
    server.status = 404
    with pytest.raises(UserError, match=r"cannot download http://127.*HTTP 404.*give its path"):
        fetch_archive(settings_for(server), tmp_path)
    assert len(server.requests) == 1
    server.status = 503
    with pytest.raises(UserError, match="HTTP 503"):
        fetch_archive(settings_for(server), tmp_path)
    assert len(server.requests) == 1 + 3


def test_no_network_says_at_once_what_to_do(server, tmp_path):
    settings = settings_for(server, url="http://127.0.0.1:1/lemons.zip")
    with pytest.raises(
        UserError, match=r"cannot download http://127.0.0.1:1/.*refused.*lemons.url:"
    ):
        fetch_archive(settings, tmp_path)


def test_local_paths_and_file_addresses_are_used_in_place(server, tmp_path):
    archive = tmp_path / "my lemons.zip"
    archive.write_bytes(CONTENT)
    assert fetch_archive(settings_for(server, url=str(archive)), tmp_path / "store") == archive
    assert fetch_archive(settings_for(server, url=archive.as_uri()), tmp_path / "store") == archive
    with pytest.raises(UserError, match=r"lemons\.sha256"):
        fetch_archive(settings_for(server, url=str(archive), sha256="0" * 64), tmp_path)
    assert archive.exists()
    with pytest.raises(UserError, match="is no file"):
        fetch_archive(settings_for(server, url=str(tmp_path / "absent.zip")), tmp_path)
    with pytest.raises(UserError, match="expected http"):
        fetch_archive(settings_for(server, url="ftp://host/lemons.zip"), tmp_path)
