"""One table: from a depth to the way its blocks are stacked. It loads nothing, so that flags are checked at once."""

from typing import NamedTuple


class Layout(NamedTuple):
    """How a residual network is stacked.

    Attributes:
        block: `"basic"` (two 3x3) or `"bottleneck"` (1x1, 3x3, 1x1 with four times the filters).
        repeats: blocks in each stage; each stage after the first halves the resolution and doubles the filters.
        filters: filters of the stem and of the first stage's 3x3 convolutions, before `width` multiplies them.
    """

    block: str
    repeats: tuple[int, ...]
    filters: int


# He et al. 2015, https://arxiv.org/abs/1512.03385, table 1.
IMAGENET = {
    18: Layout("basic", (2, 2, 2, 2), 64),
    34: Layout("basic", (3, 4, 6, 3), 64),
    50: Layout("bottleneck", (3, 4, 6, 3), 64),
    101: Layout("bottleneck", (3, 4, 23, 3), 64),
    152: Layout("bottleneck", (3, 8, 36, 3), 64),
}


def stem(asked, sides):
    """The stem that `auto` means for pictures of these sides, in pixels; else the one that is asked for.

    Small below 64 pixels, where the ImageNet stem would throw away fifteen of sixteen positions at once.
    """
    return asked if asked != "auto" else "small" if min(sides) < 64 else "imagenet"


def layout(depth):
    """Returns the `Layout` of a depth: the ImageNet table first, then the CIFAR rule 6n+2 (section 4.2 of the paper).

    Args:
        depth: 18, 34, 50, 101, 152, any other 6n+2 (8, 20, 32, 44, 56, 110 …), or a `Layout`, which is returned.

    Raises:
        ValueError: no network has this depth.
    """
    if isinstance(depth, Layout):
        return depth
    if depth in IMAGENET:
        return IMAGENET[depth]
    if isinstance(depth, int) and depth >= 8 and depth % 6 == 2:
        return Layout("basic", (depth // 6,) * 3, 16)
    raise ValueError(
        f"depth={depth}: no such ResNet; choose 18, 34, 50, 101 or 152 (ImageNet family), "
        "or 6n+2: 8, 20, 32, 44, 56, 110, … (CIFAR family)"
    )
