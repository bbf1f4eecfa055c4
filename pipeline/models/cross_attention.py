"""The bottleneck of SynthSet: self-attention, then cross-attention between the branches.

Heschl et al., Methodology: the image's queries attend to the mask's keys and values and the mask's
queries to the image's, both at once: either reads the features from before the cross-attention.
The weights are each branch's own, in every architecture.
"""

from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from pipeline.models.pair_blocks import self_attention
from pipeline.models.spade import EPSILON, group_count


class CrossAttention(nn.Module):
    """Image to mask and mask to image, with norms and residual."""

    def __init__(self, channels: int, heads: int, groups: int) -> None:
        super().__init__()
        groups = group_count(groups, channels)
        self.branches = nn.ModuleList(
            Attention(
                channels,
                cross_attention_dim=channels,
                heads=heads,
                dim_head=channels // heads,
                norm_num_groups=groups,
                cross_attention_norm="group_norm",
                cross_attention_norm_num_groups=groups,
                eps=EPSILON,
                residual_connection=True,
            )
            for _ in range(2)
        )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Features [image, mask], each N×C×h×w, to the same."""
        image, mask = branches
        image_attends, mask_attends = self.branches
        return [image_attends(image, _tokens(mask)), mask_attends(mask, _tokens(image))]


class Bottleneck(nn.Module):
    """Self-attention in each branch; cross-attention where there are two."""

    def __init__(self, channels: int, total_branches: int, heads: int, groups: int) -> None:
        super().__init__()
        self.selves = nn.ModuleList(
            self_attention(channels, heads, groups) for _ in range(total_branches)
        )
        two = total_branches == 2
        self.cross = CrossAttention(channels, heads, groups) if two else nn.Identity()

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Features of each branch, N×C×h×w, to the same."""
        return self.cross([attend(x) for attend, x in zip(self.selves, branches, strict=True)])


def _tokens(features: Tensor) -> Tensor:
    return features.flatten(2).transpose(1, 2)  # N×hw×C
