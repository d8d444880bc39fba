"""HandOccNet's transformers over the 32 x 32 cells of a feature map: FIT, which injects the hand's features where it is
hidden, and SET, which refines the result.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from handlib.bodies import skinning
from handlib.networks.blocks import products
from handlib.networks.blocks.heads import full_precision
from handlib.networks.blocks.stages import under

WIDTH, HEADS, CELLS, HIDDEN = 256, 4, 32, 1024


class Block(nn.Module):
    """Multi-head attention from the query's cells to the source's, then an MLP.

    ``query``, ``source``: (B, 256, 32, 32). ``gated`` (FIT): every row of the attention, one per head and query cell,
    is multiplied by a gate in 0..1, and nothing of the query itself is passed on; otherwise (SET) the query is added
    to what it gathered.
    """

    def __init__(self, gated):
        super().__init__()
        self.gated = gated
        self.query_embedding = nn.Parameter(torch.randn(1, WIDTH, CELLS, CELLS))
        self.key_embedding = nn.Parameter(torch.randn(1, WIDTH, CELLS, CELLS))
        self.value, self.query, self.key = (nn.Conv2d(WIDTH, WIDTH, 1) for _ in range(3))
        if gated:
            self.gate_query, self.gate_key = nn.Conv2d(WIDTH, WIDTH, 1), nn.Conv2d(WIDTH, WIDTH, 1)
        self.norm = nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, WIDTH))

    def forward(self, query, source, keep):
        asking, asked = query + self.query_embedding, source + self.key_embedding
        q, k, v = by_head(self.query(asking)), by_head(self.key(asked)), by_head(self.value(source))
        x = F.scaled_dot_product_attention(q, k, v)
        if self.gated:
            gate = self.gate(asking, asked)
            keep("attn.sigmoid", gate)
            x = x * gate.unsqueeze(3).to(x.dtype)
        x = x.transpose(1, 2).flatten(2)
        keep("attn", x)
        if not self.gated:
            x = x + tokens(query)
        x = x + self._mlp(self.norm(x))
        x = x.mT.unflatten(2, (CELLS, CELLS))
        return x.contiguous() if query.is_contiguous() else x

    def _mlp(self, x):
        first, activation, second = self.mlp
        return products.linear(second, activation(products.linear(first, x)))

    def gate(self, asking, asked):
        """(B, 4, 1024), 0..1, of each head and query cell: the sigmoid of its summed products with all key cells.

        The sum over the keys of the products is the product with the sum of the keys: no table of 1024 x 1024.
        """
        with skinning.full_precision(asking.device.type):
            asking, asked = full_precision(asking), full_precision(asked)
            cells = asked.shape[2] * asked.shape[3]
            keys = F.linear(asked.sum((2, 3)), self.gate_key.weight.flatten(1), cells * self.gate_key.bias)
            keys = keys.unflatten(1, (HEADS, -1)) / math.sqrt(WIDTH // HEADS)
            weight = self.gate_query.weight.flatten(1).unflatten(0, (HEADS, -1))
            bias = self.gate_query.bias.unflatten(0, (HEADS, -1))
            onto = torch.einsum("bhd,hdc->bhc", keys, weight)
            logit = onto @ asking.flatten(2) + (keys * bias).sum(2, keepdim=True)
            return logit.sigmoid()

    def weights(self, query, source):
        """(B, 4, 1024 queries, 1024 keys): what of each source cell comes to each query cell; gated ones below 1."""
        asking, asked = query + self.query_embedding, source + self.key_embedding
        with skinning.full_precision(asking.device.type):
            q, k = by_head(self.query(full_precision(asking))), by_head(self.key(full_precision(asked)))
            found = (q @ k.mT / math.sqrt(q.shape[3])).softmax(3)
            return found * self.gate(asking, asked).unsqueeze(3) if self.gated else found


class Stage(nn.Module):
    """Blocks in a row. Only the query is replaced from block to block; the source stays as it came."""

    def __init__(self, gated, blocks=2):
        super().__init__()
        self.layers = nn.ModuleList(Block(gated) for _ in range(blocks))

    def forward(self, query, source, keep):
        for number, block in enumerate(self.layers):
            query = block(query, source, under(keep, f"layers.{number}."))
            keep(f"layers.{number}", query)
        return query


class Injection(Stage):
    """FIT: the secondary features ask the primary ones, and what they gather is joined with these."""

    def __init__(self):
        super().__init__(gated=True)
        self.conv1 = nn.Sequential(
            nn.Conv2d(2 * WIDTH, WIDTH, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        )
        self.conv2 = nn.Conv2d(2 * WIDTH, WIDTH, 1)

    def forward(self, secondary, primary, keep):
        both = torch.cat([primary, super().forward(secondary, primary, keep)], 1)
        deep, flat = self.conv1(both), self.conv2(both)
        keep("conv1", deep)
        keep("conv2", flat)
        return deep + flat


def tokens(x):
    """(B, C, h, w) -> (B, h * w, C), the cells row by row."""
    return x.flatten(2).mT


def by_head(x):
    """(B, C, h, w) -> (B, heads, h * w, C / heads)."""
    return tokens(x).unflatten(2, (HEADS, -1)).transpose(1, 2)
