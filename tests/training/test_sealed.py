"""A file of tensors is whole, or is found not to be and the one before it is taken."""

import contextlib
import os
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pipeline.training import sealed
from pipeline.training.divergence import DivergedError
from pipeline.training.sealed import (
    DamagedError,
    newest_whole,
    path_before,
    read_sealed,
    write_sealed,
)

TENSORS = {
    "weights": torch.arange(6.0).reshape(2, 3),
    "step": torch.tensor(3),
    "half": torch.ones(5, dtype=torch.bfloat16),
    "none": torch.zeros(0, 4),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.safetensors"


def write(path, number):
    write_sealed(path, {"w": torch.tensor([float(number)])}, {"number": number})


def test_reads_what_was_written(path):
    write_sealed(path, TENSORS, {"curve": [1 / 3, float("nan")]})
    tensors, content = read_sealed(path)
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert content["curve"][0] == 1 / 3
    first = path.read_bytes()
    write_sealed(path, dict(reversed(TENSORS.items())), {"curve": [1 / 3, float("nan")]})
    assert path.read_bytes() == first
    assert sorted(item.name for item in path.parent.iterdir()) == [
        "before-state.safetensors",
        "state.safetensors",
    ]


def test_every_altered_byte_and_every_torn_end_is_found(path):
    write_sealed(path, {"w": torch.arange(4.0)}, {"number": 1})
    whole = path.read_bytes()
    for place in range(8, len(whole)):  # 8: the header's length, which is checked by the library
        if whole[place : place + 1].isspace():  # padding
            continue
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DamagedError, match=r"state\.safetensors: damaged"):
            read_sealed(path)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(DamagedError):
            read_sealed(path)


def test_a_file_of_another_program_is_damaged(path):
    save_file({"w": torch.ones(1)}, path)
    with pytest.raises(DamagedError):
        read_sealed(path)


def test_the_one_before_takes_the_place_of_a_damaged_one(path, capsys):
    assert newest_whole(path, read_sealed) is None
    write(path, 1)
    write(path, 2)
    assert newest_whole(path, read_sealed)[1] == {"number": 2}
    path.write_bytes(path.read_bytes()[:-1])
    assert newest_whole(path, read_sealed, may_move=False)[1] == {"number": 1}
    assert path.exists()  # another process puts it aside
    assert newest_whole(path, read_sealed)[1] == {"number": 1}
    assert "put aside as damaged-state.safetensors" in capsys.readouterr().out
    assert not path.exists() and path.with_name("damaged-state.safetensors").exists()
    write(path, 3)
    assert newest_whole(path, read_sealed)[1] == {"number": 3}
    path.write_bytes(b"")
    path_before(path).write_bytes(b"")
    assert newest_whole(path, read_sealed) is None


def test_numbers_that_are_not_finite_replace_nothing(path):
    write(path, 1)
    for value in (float("nan"), float("inf")):
        with pytest.raises(DivergedError, match="w holds infinite numbers or NaN"):
            write_sealed(path, {"w": torch.tensor([1.0, value])}, {})
    large = torch.full((2,), torch.finfo(torch.float32).max)  # whose sum is infinite
    assert read_sealed(path)[1] == {"number": 1}
    write_sealed(path, {"w": large}, {"number": 2})
    assert torch.equal(read_sealed(path)[0]["w"], large)


def test_one_that_is_replaced_while_it_is_read_is_read_anew(path, monkeypatch):
    """safetensors opens the file a second time for the tensors, which may be those of the next."""
    write(path, 1)

    @contextlib.contextmanager
    def opened_twice(path, framework):
        monkeypatch.setattr(sealed, "safe_open", safe_open)
        with safe_open(path, framework) as first:
            header = first.metadata()
        write(path, 2)
        with safe_open(path, framework) as second:
            yield SimpleNamespace(
                metadata=lambda: header, keys=second.keys, get_tensor=second.get_tensor
            )

    monkeypatch.setattr(sealed, "safe_open", opened_twice)
    tensors, content = read_sealed(path)
    assert content == {"number": 2} and tensors["w"].tolist() == [2.0]


def test_there_is_a_file_at_every_moment_of_a_writing(path, monkeypatch):
    write(path, 1)
    plain = os.replace

    def replace(source, target):
        assert read_sealed(path)[1] == read_sealed(path_before(path))[1] == {"number": 1}
        plain(source, target)

    monkeypatch.setattr(os, "replace", replace)
    write(path, 2)
    assert newest_whole(path, read_sealed)[1] == {"number": 2}


def test_without_hard_links_the_one_before_is_kept_too(path, monkeypatch):
    def refuse(source, target):
        raise OSError("Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    for number in (1, 2):
        write(path, number)
    assert read_sealed(path)[1] == {"number": 2}
    assert read_sealed(path_before(path))[1] == {"number": 1}
