"""Section `segmenters.mixes`: what the segmenters of each mix are trained on.

A mix is real pairs and further ones: synthetic pairs, or what they have to be better than. Three
sources of further pairs are told apart, each with the same numbers, so that arms of one size can
be compared: `synthetic`, `repeated` (the real pairs again: the size alone) and `pasted` (real
regions on real photos). The thesis's traditional augmentation, `augment`, changes what is there.
"""

from typing import Any, Literal

from pydantic import Field, field_validator

from pipeline.io.errors import UserError
from pipeline.io.params import Settings, parse, value

FURTHER = ("synthetic", "repeated", "pasted")  # origins of pairs beside the real ones
Further = Literal["synthetic", "repeated", "pasted"]


class MixSettings(Settings):
    """How many pairs of each origin to train on.

    Attributes:
        real: `all`, or that many of the training part.
        synthetic: `all` that the filter kept, `equal` (as many as the training part has), or that
            many.
        repeated: as many copies of the mix's real pairs; `all` and `equal` count as for
            `synthetic`, so that the mix is as large as one with synthetic pairs.
        pasted: as many pairs made of the mix's real ones by `segmenters.pasting`, counted likewise.
        augment: whether `segmenters.augmentation` applies in training.
        baseline: mix to compare with; None = `segmenters.baseline`.
    """

    real: int | str
    synthetic: int | str
    repeated: int | str = 0
    pasted: int | str = 0
    augment: bool = False
    baseline: str | None = Field(default=None, exclude=True)  # only the report looks at it

    @field_validator("real")
    @classmethod
    def _real_is_known(cls, number: int | str) -> int | str:
        return _known_number(number, ["all"])

    @field_validator(*FURTHER)
    @classmethod
    def _further_is_known(cls, number: int | str) -> int | str:
        return _known_number(number, ["all", "equal"])

    @property
    def counts_synthetic(self) -> bool:
        """Whether the mix hangs on the synthetic pairs that the filter kept, or on their number."""
        return self.synthetic != 0 or "all" in (self.repeated, self.pasted)

    def described(self) -> dict[str, Any]:
        """As it is written into a mix: arms that it does not have are not named.

        A mix without them keeps the bytes that it had before there were any.
        """
        content = self.model_dump()
        return {
            name: entry
            for name, entry in content.items()
            if entry != 0 or name not in ("repeated", "pasted")
        }


def read_mixes(params: dict[str, Any]) -> dict[str, MixSettings]:
    """All mixes of the parameters, by name.

    Raises:
        UserError: an entry is wrong or empty, or a baseline names no mix.
    """
    entries = value("segmenters.mixes", params)
    if not isinstance(entries, dict) or not entries:
        raise UserError(f"segmenters.mixes: got {entries!r}, expected a map of name to mix")
    mixes = {
        name: parse(MixSettings, f"segmenters.mixes.{name}", entry)
        for name, entry in entries.items()
    }
    baselines = {"segmenters.baseline": value("segmenters.baseline", params)} | {
        f"segmenters.mixes.{name}.baseline": mix.baseline
        for name, mix in mixes.items()
        if mix.baseline is not None
    }
    for where, baseline in baselines.items():
        if baseline not in mixes:
            raise UserError(f"{where}: got {baseline!r}, expected a mix: {', '.join(mixes)}")
    for name, mix in mixes.items():
        _check_real(f"segmenters.mixes.{name}", mix)
    return mixes


def _check_real(where: str, mix: MixSettings) -> None:
    """A mix has pairs, and real ones where others are made of them."""
    if mix.real != 0:
        return
    made = [name for name in ("repeated", "pasted") if getattr(mix, name) != 0]
    if made:
        raise UserError(
            f"{where}.{made[0]}: got {getattr(mix, made[0])}, expected 0 as real is 0: they are "
            "made of the mix's real pairs; raise real"
        )
    if mix.synthetic == 0:
        raise UserError(
            f"{where}: got real 0 and synthetic 0, expected pairs to train on; "
            "raise one of the two or remove the mix"
        )


def _known_number(number: int | str, words: list[str]) -> int | str:
    if isinstance(number, bool) or (number not in words if isinstance(number, str) else number < 0):
        raise ValueError(f"{' or '.join(words)} or a number from 0")
    return number
