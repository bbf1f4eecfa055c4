import pytest

from pipeline.diffusion.batch_size import LARGEST, ON_CPU, choose_batch_size, largest_that_fits
from pipeline.diffusion.sampling import SamplingSettings
from pipeline.io.errors import UserError
from pipeline.io.params import parse, read_params, value

GB = 10**9


def test_the_largest_power_of_two_that_fits():
    # 1 GB for the network, a quarter for each pair
    def fitting(limit: float) -> int:
        return largest_that_fits((2, 8), (int(1.5 * GB), 3 * GB), int(limit * GB))

    assert fitting(17.1) == 64  # 1 + 64/4
    assert fitting(16.9) == 32
    assert fitting(0.5) == 1  # nothing fits: the message about memory comes later
    assert fitting(1000) == LARGEST
    assert largest_that_fits((2, 8), (GB, GB), 2 * GB) == LARGEST  # no memory a pair


def test_a_number_is_taken_and_nothing_is_drawn_on_the_cpu():
    def never(indices):
        raise AssertionError

    assert choose_batch_size(5, never) == 5
    assert choose_batch_size("auto", never) == ON_CPU


@pytest.mark.parametrize("wrong", [0, "many"])
def test_other_words_are_refused(wrong):
    content = value("sampling", read_params()) | {"batch_size": wrong}
    with pytest.raises(UserError, match=r"sampling\.batch_size: got .*, expected a whole number"):
        parse(SamplingSettings, "sampling", content)
