"""Label maps as channels in [−1, 1], and back by the nearest codeword.

`one_hot` gives a label a channel; `bits` its binary number, ⌈log2 L⌉ channels (the analog bits of
Chen et al. 2023, as SatSynth uses them); `rgb` its colour, the All-Latent thesis's way of sending a
mask through an autoencoder of photos. Every code is a table of L codewords of k numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pipeline.io.errors import UserError

CodeName = Literal["one_hot", "bits", "rgb"]
Colours = list[tuple[int, int, int]]


@dataclass(frozen=True)
class LabelCode:
    """Codewords of labels 0…L−1."""

    codebook: Tensor  # float32 L×k in [−1, 1], rows all different

    @property
    def total_labels(self) -> int:
        """L."""
        return len(self.codebook)

    @property
    def channels(self) -> int:
        """k, the length of a codeword."""
        return self.codebook.shape[1]

    def encode(self, labels: Tensor) -> Tensor:
        """Codewords of labels.

        Args:
            labels: integer N×H×W of 0…L−1, on any device.

        Returns:
            float32 N×k×H×W in [−1, 1], on the same device.

        Raises:
            ValueError: a label outside 0…L−1.
        """
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < self.total_labels:
            raise ValueError(
                f"labels: got {int(labels.min())}…{int(labels.max())}, "
                f"expected 0…{self.total_labels - 1}"
            )
        words = self.codebook.to(labels.device)[labels.long()]  # N×H×W×k
        return words.permute(0, 3, 1, 2).contiguous()

    def scores(self, x: Tensor) -> Tensor:
        """How well each label explains `x`: x·c − |c|²/2, the highest for the nearest codeword.

        Args:
            x: float N×k×H×W.

        Returns:
            float N×L×H×W; differences are half those of the squared distances, negated.
        """
        book = self.codebook.to(x)
        products = torch.einsum("nkhw,lk->nlhw", x, book)
        return products - book.square().sum(dim=1).view(1, -1, 1, 1) / 2

    def decode(self, x: Tensor) -> Tensor:
        """Labels uint8 N×H×W of the codewords nearest to `x`, float N×k×H×W."""
        return self.scores(x).argmax(dim=1).to(torch.uint8)


def label_code(name: CodeName, total_labels: int, colours: Colours | None = None) -> LabelCode:
    """The code called `name`.

    Args:
        name: see the module.
        total_labels: L, at least 2.
        colours: one a label, 0…255; needed by `rgb` only.

    Raises:
        UserError: `rgb` with colours that do not tell the labels apart.
    """
    assert total_labels >= 2, total_labels
    return LabelCode(CODES[name](total_labels, colours))


def _one_hot(total_labels: int, colours: Colours | None) -> Tensor:
    return torch.eye(total_labels) * 2 - 1


def _bits(total_labels: int, colours: Colours | None) -> Tensor:
    width = (total_labels - 1).bit_length()
    numbers = torch.arange(total_labels)
    bits = numbers[:, None] >> torch.arange(width) & 1  # L×k, the lowest bit first
    return bits.float() * 2 - 1


def _rgb(total_labels: int, colours: Colours | None) -> Tensor:
    assert colours is not None and len(colours) == total_labels, (colours, total_labels)
    if len(set(colours)) < total_labels:
        raise UserError(
            f"code rgb: got the colours {colours}, expected a different one for each label; "
            "take code one_hot or bits"
        )
    return torch.tensor(colours, dtype=torch.float32) / 127.5 - 1


CODES: dict[CodeName, Callable[[int, Colours | None], Tensor]] = {
    "one_hot": _one_hot,
    "bits": _bits,
    "rgb": _rgb,
}
