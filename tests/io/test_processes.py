"""Work by all cores: in order, whatever the number of processes; a killed one is told."""

import multiprocessing
import os
import signal
from functools import partial

import pytest

from pipeline.io import processes
from pipeline.io.errors import UserError
from pipeline.io.processes import by_all_cores


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(processes, "total_cores", lambda: 2)


def power(base, index):
    return base**index, os.getpid()


def die_at(number, index):
    if index == number:
        os.kill(os.getpid(), signal.SIGKILL)
    return index


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_results_come_in_order_from_other_processes(at_once):
    results = list(by_all_cores(partial(power, 2), 7, at_once=at_once))
    assert [result for result, _ in results] == [2**index for index in range(7)]
    here = {process for _, process in results} == {os.getpid()}
    assert here == (at_once > 7)  # one would get all of them


def test_few_items_start_no_process():
    assert {process for _, process in by_all_cores(partial(power, 2), 5, fewest=6)} == {os.getpid()}
    assert list(by_all_cores(partial(power, 2), 0)) == []


def test_processes_that_are_not_forked_get_the_work_too(monkeypatch):
    """As on macOS, and on Linux from Python 3.14 on."""
    spawn = multiprocessing.get_context("spawn")
    plain = processes.ProcessPoolExecutor
    monkeypatch.setattr(processes, "ProcessPoolExecutor", partial(plain, mp_context=spawn))
    assert list(by_all_cores(partial(pow, 3), 4)) == [1, 3, 9, 27]


def test_without_processes_this_one_does_the_work(monkeypatch, capsys):
    def refuse(_workers, **_more):
        raise OSError("no semaphores")

    monkeypatch.setattr(processes, "ProcessPoolExecutor", refuse)
    assert {process for _, process in by_all_cores(partial(power, 2), 5)} == {os.getpid()}
    assert "one process only: no semaphores" in capsys.readouterr().out


def test_a_killed_process_is_told(capsys):
    with pytest.raises(UserError, match="one of 2 processes was killed, most likely for want of m"):
        list(by_all_cores(partial(die_at, 3), 9))
