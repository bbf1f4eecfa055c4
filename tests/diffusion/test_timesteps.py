"""Which timesteps are visited: the paper's t_max, and the distribution of the draws."""

import pytest
import torch

from pipeline.diffusion.batches import BatchSource
from pipeline.diffusion.timesteps import TimestepSchedule, choose_timesteps

PAPER = TimestepSchedule()


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [(0, 10), (4, 10), (5, 20), (9, 20), (10, 30), (494, 990), (495, 1000), (1499, 1000)],
)
def test_the_process_opens_as_in_the_paper(epoch, expected):
    assert PAPER.open_timesteps(epoch, 1000) == expected  # min(T, 10·⌊s/5⌋ + 10)


def test_without_a_schedule_all_timesteps_are_alike():
    shares = (torch.arange(1000) + 0.5) / 1000
    assert torch.equal(choose_timesteps(shares, 3, 1000, None), torch.arange(1000))


def test_until_an_epoch_the_probability_is_proportional_to_t():
    total, opened = 200_000, 20
    shares = (torch.arange(total, dtype=torch.float64) + 0.5) / total
    counts = torch.bincount(choose_timesteps(shares, 5, 1000, PAPER), minlength=opened)
    assert len(counts) == opened
    expected = torch.arange(1, opened + 1) / sum(range(1, opened + 1))
    torch.testing.assert_close(counts / total, expected, atol=2e-5, rtol=0)


def test_afterwards_it_is_uniform_again():
    shares = (torch.arange(1000) + 0.5) / 1000
    settings = TimestepSchedule(start=10, step=10, every_epochs=5, prioritised_epochs=20)
    before, after = (choose_timesteps(shares, epoch, 1000, settings) for epoch in (19, 20))
    assert torch.bincount(before).float().std() > 10
    assert torch.bincount(after).tolist() == [20] * 50


def test_the_largest_share_stays_in_the_open_part():
    almost_one = torch.tensor([0.0, 1 - 2**-24])
    for epoch in (0, 600):
        chosen = choose_timesteps(almost_one, epoch, 1000, PAPER)
        assert chosen.tolist() == [0, PAPER.open_timesteps(epoch, 1000) - 1]


def test_batches_follow_the_schedule_of_their_epoch():
    class Nothing:
        def __len__(self):
            return 40

        def augmented(self, step, places, indices):
            return torch.zeros(len(places), 1, 2, 2), torch.zeros(len(places), 0, 2, 2), None

    source = BatchSource(Nothing(), 20, 0.0, 1000, seed=0, opening=PAPER)
    for step in (0, 9, 10, 99):  # two steps an epoch
        assert source.batch(step).t.max() < PAPER.open_timesteps(step // 2, 1000)
    late = torch.cat([source.batch(step).t for step in range(80, 90)])  # epochs 40 to 44: t_max 90
    assert late.max() >= 80
    assert late.float().mean() > 50  # 60 where p(t) ∝ t, 45 if uniform
