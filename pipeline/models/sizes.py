"""Sizes of networks as parameters name them, with the largest that anybody could mean.

A slip of the pen beyond these would end in an overflow within a library, or in a network that is
being built for ever, instead of a message that names the parameter.
"""

from typing import Annotated

from pydantic import Field

Width = Annotated[int, Field(ge=4, le=2**14)]  # channels of the first level
Channels = Annotated[int, Field(ge=1, le=2**14)]
Multiplier = Annotated[float, Field(gt=0, le=2**10)]  # of the width, by level
Blocks = Annotated[int, Field(ge=1, le=2**6)]  # residual blocks a level
Unshuffle = Annotated[int, Field(ge=1, le=2**6)]  # n: n×n pixels become channels
