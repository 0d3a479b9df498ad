"""The blocks of SwinIR and Swin2SR, rearranged: the same numbers, 1.5 to 2.5 times as fast.

Every step of a block works on windows alone. So an image's tokens stay sorted by windows from
block to block, where the packages go back to rows and columns after each; one gather leads from
plain windows to shifted ones; only the windows at the lower and right border, which a shift fills
from two sides, are given a mask; and on a CPU a few windows at a time go through a whole block
while they are in the cache, which also spares most of the memory.

Source: Liu et al., "Swin Transformer", ICCV 2021, section 3.2, for windows, shift and mask; Liu et
al., "Swin Transformer V2", CVPR 2022, section 3.3, for cosine attention.
"""

from collections.abc import Callable, Iterator
from math import log
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, scaled_dot_product_attention

from superres.networks.pad_to_multiple import WINDOW

TOKENS = WINDOW * WINDOW
SHIFT = WINDOW // 2
APART = -100.0  # what the networks were trained to add between tokens that are not neighbours
_MAX_LOGIT_SCALE = log(100)
# Numbers of a core's share of tokens: with what a block makes of them 4 MB. Where a core has 2 MB
# of second-level cache, half of it and four times as much are 5 % slower.
_CACHED = 192 * 1024


class BlockVariant(NamedTuple):
    """How the blocks of a package are computed."""

    bias: Callable[[Any], Tensor]  # what a block adds to attention: (1, heads, 64, 64)
    step: Callable[[Any, Tensor, Tensor], Tensor]  # the block on tokens (windows·64, c) and bias


class Sorting(NamedTuple):
    """Tokens by windows: those that a shift leaves whole first, then those it mixes."""

    order: Tensor  # (n·h·w,) where each token lies in the images, row by row
    whole: int  # how many windows need no mask
    mask: Tensor  # (mixed windows, 1, 64, 64), 0 or APART


class Blocks(nn.Module):
    """Consecutive blocks, plain and shifted by turns: `(n, h·w, c)` tokens to the same shape.

    `blocks` are basicsr's, under basicsr's name, so that the state dict stays what it was.
    """

    def __init__(self, blocks: nn.ModuleList, kind: BlockVariant) -> None:
        super().__init__()
        self.blocks = blocks
        self.kind = kind

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Compute the blocks; `size` is (h, w), both multiples of the window."""
        return run_blocks(self.blocks, self.kind, x, size)


def run_blocks(
    blocks: nn.ModuleList, kind: BlockVariant, x: Tensor, size: tuple[int, int]
) -> Tensor:
    """Return `x` (n, h·w, c) after `blocks`; `size` is (h, w)."""
    sortings = [sorting((len(x), *size), shift, x) for shift in (0, SHIFT)]
    tokens = x.flatten(0, 1)
    position = torch.arange(len(tokens), device=x.device)
    for number, block in enumerate(blocks):
        to = sortings[number % 2]
        source, tokens, before = position[to.order], torch.empty_like(tokens), tokens
        bias = kind.bias(block)
        for at, mask in portions(to, windows_at_once(x)):
            added = bias if mask is None else bias + mask
            tokens[at] = kind.step(block, before.index_select(0, source[at]), added)
        position = inverse(to.order)
    return tokens.index_select(0, position).view(x.shape)


def windows_at_once(x: Tensor) -> int:
    """Return how many windows' tokens stay in a CPU's caches; elsewhere all windows of `x` (n, h·w,
    c).
    """
    if x.device.type != "cpu":
        return x.shape[0] * x.shape[1]
    return max(_CACHED * torch.get_num_threads() // (TOKENS * x.shape[2]), 1)


def portions(to: Sorting, windows: int) -> Iterator[tuple[slice, Tensor | None]]:
    """Slices of the sorted tokens, each of at most so many `windows`, and their masks."""
    for first in range(0, to.whole, windows):
        yield slice(first * TOKENS, min(first + windows, to.whole) * TOKENS), None
    for first in range(0, len(to.mask), windows):
        mask = to.mask[first : first + windows]
        start = to.whole + first
        yield slice(start * TOKENS, (start + len(mask)) * TOKENS), mask


def inverse(order: Tensor) -> Tensor:
    """Return where in `order`, a permutation, each number stands."""
    return torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))


def sorting(shape: tuple[int, int, int], shift: int, like: Tensor) -> Sorting:
    """Return how the tokens of images of `shape` (n, h, w), moved by `shift`, are sorted by
    windows.
    """
    n, height, width = shape
    rows, columns = height // WINDOW, width // WINDOW
    place = torch.arange(n * height * width, device=like.device).view(shape)
    place = place.roll((-shift, -shift), (1, 2)).view(n, rows, WINDOW, columns, WINDOW)
    windows = place.permute(1, 3, 0, 2, 4).reshape(rows * columns, n * TOKENS)
    if not shift:
        return Sorting(windows.flatten(), n * rows * columns, like.new_zeros(0, 1, TOKENS, TOKENS))
    ends = torch.zeros((rows, columns, 2), dtype=torch.bool, device=like.device)
    ends[-1, :, 0] = True
    ends[:, -1, 1] = True
    ends = ends.flatten(0, 1)
    rank = torch.argsort(ends.any(1).int(), stable=True)
    whole = (rows - 1) * (columns - 1)
    mask = borders(ends[rank[whole:]]).to(like.dtype).repeat_interleave(n, 0)
    return Sorting(windows[rank].flatten(), n * whole, mask)


def borders(ends: Tensor) -> Tensor:
    """Return the mask (m, 1, 64, 64) of windows in the last row, the last column, or both: `ends`
    (m, 2).

    Their last four rows, or columns, come from the other end of the image.
    """
    far = torch.arange(WINDOW, device=ends.device) >= WINDOW - SHIFT
    below = ends[:, 0, None, None] & far[:, None]
    beside = ends[:, 1, None, None] & far
    region = (2 * below + beside).flatten(1)
    return (region[:, None, None] != region[:, None, :, None]) * APART


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, scale: float) -> Tensor:
    """Attention of `q`, `k`, `v` (windows, heads, 64, d) within windows: (windows·64, heads·d).

    `bias` (1 or windows, heads, 64, 64) is added before the softmax.
    """
    mixed = scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
    return mixed.transpose(1, 2).flatten(2).flatten(0, 1)


def _dot_bias(block: Any) -> Tensor:
    """Return the learned bias (1, heads, 64, 64) of relative positions of basicsr's block."""
    attn = block.attn
    return spread(attn.relative_position_bias_table, attn.relative_position_index)


def _dot_step(block: Any, tokens: Tensor, bias: Tensor) -> Tensor:
    """Return `tokens` after basicsr's SwinTransformerBlock: norms before attention and MLP."""
    attn = block.attn
    shape = (-1, TOKENS, 3, attn.num_heads, attn.dim // attn.num_heads)
    q, k, v = attn.qkv(block.norm1(tokens)).view(shape).permute(2, 0, 3, 1, 4)
    tokens = tokens + attn.proj(attention(q, k, v, bias, attn.scale))
    hidden: Tensor = block.mlp(block.norm2(tokens))
    return tokens + hidden


def _cosine_bias(layer: Any) -> Tensor:
    """Return the bias (1, heads, 64, 64) that transformers' layer makes of relative positions."""
    attn = layer.attention.self
    table = attn.continuous_position_bias_mlp(attn.relative_coords_table).flatten(0, 2)
    return 16 * spread(table, attn.relative_position_index).sigmoid()


def _cosine_step(layer: Any, tokens: Tensor, bias: Tensor) -> Tensor:
    """Return `tokens` after transformers' Swin2SRLayer: cosine attention, norms after it and the
    MLP.
    """
    attn = layer.attention.self
    shape = (-1, TOKENS, attn.num_attention_heads, attn.attention_head_size)
    parts = (attn.query, attn.key, attn.value)
    q, k, v = (part(tokens).view(shape).transpose(1, 2) for part in parts)
    q = normalize(q, dim=-1) * attn.logit_scale.clamp(max=_MAX_LOGIT_SCALE).exp()
    mixed = layer.attention.output.dense(attention(q, normalize(k, dim=-1), v, bias, 1.0))
    tokens = tokens + layer.layernorm_before(mixed)
    hidden: Tensor = layer.layernorm_after(layer.output.dense(layer.intermediate(tokens)))
    return tokens + hidden


def spread(table: Tensor, index: Tensor) -> Tensor:
    """Return `table` (225, heads) of relative positions at `index` (64, 64), as (1, heads,
    64, 64).
    """
    return table[index.flatten()].view(1, TOKENS, TOKENS, -1).permute(0, 3, 1, 2).contiguous()


DOT = BlockVariant(_dot_bias, _dot_step)  # SwinIR
COSINE = BlockVariant(_cosine_bias, _cosine_step)  # Swin2SR
