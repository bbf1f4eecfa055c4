"""Warm-up and decay by hand."""

import pytest

from pipeline.training.learning_rate import LearningRateSettings


def test_warm_up_then_constant():
    settings = LearningRateSettings(learning_rate=0.4, warmup_steps=4)
    rates = [settings.learning_rate_at(step, 8) for step in range(6)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4])


def test_cosine():
    settings = LearningRateSettings(learning_rate=2.0, decay="cosine")
    rates = [settings.learning_rate_at(step, 4) for step in (0, 1, 2, 4)]
    assert rates == pytest.approx([2.0, 1 + 0.5**0.5, 1.0, 0.0])
