"""OSX's keypoint-guided decoder: joints ask feature maps of several resolutions around where they were found.

Deformable attention (Zhu et al., ICLR 2021) as Poseur (Mao et al., ECCV 2022) changed it: what is sampled is projected
afterwards, by a matrix for each head. Places are fractions of a map's width and height, 0 its left or upper border.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from handlib.networks.blocks.heads import full_precision, initialise

WIDTH, HEADS, POINTS, HIDDEN, LAYERS = 256, 8, 4, 1024, 6
GROUPS, STORED_LEVELS = 32, 4  # of the group norms; of which as many are used as there are maps
DROP = 0.1
_OFFSET, _TEMPERATURE = -0.5, 10000.0  # of the sine code


class Decoder(nn.Module):
    """Maps [(B, C, h, w), ...], finest first, joints' features (B, J, 256) and places (B, J, 2) -> (B, J, 256).

    channels: of the maps. ``keep`` is given what the reference files name (theirs are J or cells first), and of the
    last layer ``looks`` (B, J, heads, levels, points, 2), places, and ``looks_weights``, which sum to 1 for a head.
    """

    def __init__(self, joints, channels):
        super().__init__()
        self.necks = nn.ModuleList(
            nn.ModuleDict({"conv": nn.Conv2d(inputs, WIDTH, 1, bias=False), "gn": nn.GroupNorm(GROUPS, WIDTH)})
            for inputs in channels
        )
        self.levels = nn.Parameter(torch.empty(STORED_LEVELS, WIDTH))
        self.queries = nn.Parameter(torch.empty(joints, WIDTH))
        self.layers = nn.ModuleList(Layer(len(channels)) for _ in range(LAYERS))
        self._initialise()

    def _initialise(self):
        for parameter in [self.queries, *self.layers.parameters()]:
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        nn.init.normal_(self.levels)
        self.necks.apply(initialise)
        for layer in self.layers:
            layer.attention.apply(initialise)

    def forward(self, maps, query, places, keep):
        memory, sizes = [], []
        for number, (neck, features) in enumerate(zip(self.necks, maps, strict=True)):
            x = neck["gn"](neck["conv"](features))
            keep(f"neck_x{2 ** (len(maps) - 1 - number)}", x)
            code = sine_code(*x.shape[2:], device=x.device).to(x.dtype) + self.levels[number, :, None, None]
            memory.append((x + code).flatten(2).mT)
            sizes.append(tuple(x.shape[2:]))
        memory = torch.cat(memory, 1)
        keep("decoder_memory", memory.transpose(0, 1))
        places = places[:, :, None].expand(-1, -1, len(maps), -1)
        keep("decoder_reference_points", places)
        keep("decoder_query_pos", self.queries[:, None].expand(-1, len(query), -1))
        for number, layer in enumerate(self.layers):
            last = number == len(self.layers) - 1
            query = layer(query, self.queries, memory, places, sizes, keep if last else None)
            if number == 0 or last:
                keep(f"decoder_layer_{number}", query.transpose(0, 1))
        keep("decoder_out", query)
        return query


class Layer(nn.Module):
    """Attention among the joints, to the maps, and an MLP; each is added to what came and normalised after."""

    def __init__(self, levels):
        super().__init__()
        self.self_attention = nn.MultiheadAttention(WIDTH, HEADS, dropout=DROP, batch_first=True)
        self.attention = DeformableAttention(levels)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, HIDDEN), nn.ReLU(inplace=True), nn.Dropout(DROP), nn.Linear(HIDDEN, WIDTH)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3))
        self.drop = nn.Dropout(DROP)

    def forward(self, x, codes, memory, places, sizes, keep=None):
        coded = x + codes
        x = self.norms[0](x + self.drop(self.self_attention(coded, coded, x, need_weights=False)[0]))
        x = self.norms[1](x + self.drop(self.attention(x + codes, memory, places, sizes, keep)))
        return self.norms[2](x + self.drop(self.mlp(x)))


class DeformableAttention(nn.Module):
    """Each head gathers the maps at a few places near the query's own, and projects what it gathered."""

    def __init__(self, levels):
        super().__init__()
        self.levels = levels
        self.offsets = nn.Linear(WIDTH, HEADS * levels * POINTS * 2)
        self.weights = nn.Linear(WIDTH, HEADS * levels * POINTS)
        self.value_weight = nn.Parameter(torch.empty(HEADS * WIDTH, WIDTH // HEADS))
        self.value_bias = nn.Parameter(torch.empty(HEADS, WIDTH // HEADS))
        self.output = nn.Linear(WIDTH, WIDTH)
        for parameter in (self.value_weight, self.value_bias):
            nn.init.xavier_uniform_(parameter)

    def forward(self, query, memory, places, sizes, keep=None):
        """Queries (B, Q, 256), memory (B, all maps' cells, 256), the queries' places (B, Q, levels, 2), maps' (h, w)
        -> (B, Q, 256).
        """
        looks, weights = self.looks(query, places, sizes)
        if keep is not None:
            keep("looks", looks)
            keep("looks_weights", weights)
        gathered = gather(memory, looks, weights, sizes)
        projected = torch.einsum("bqhc,hco->bqho", gathered, self.value_weight.unflatten(0, (HEADS, -1)))
        return self.output((projected + self.value_bias).flatten(2))

    def looks(self, query, places, sizes):
        """Where each head looks (B, Q, heads, levels, points, 2), and how much that weighs (..., points)."""
        offsets = full_precision(self.offsets(query)).unflatten(2, (HEADS, self.levels, POINTS, 2))
        weights = full_precision(self.weights(query)).unflatten(2, (HEADS, -1)).softmax(3)
        cells = offsets.new_tensor([(w, h) for h, w in sizes])[:, None]
        return places[:, :, None, :, None] + offsets / cells, weights.unflatten(3, (self.levels, POINTS))


def gather(memory, looks, weights, sizes):
    """Weighted sums of bilinear samples; zero outside the maps.

    memory (B, cells of all maps, C); looks (B, Q, heads, levels, points, 2) fractions, weights (..., points); sizes
    [(h, w)] of the maps -> (B, Q, heads, C). The four cells around a place are found first, then their rows added up:
    PyTorch's own sampling goes through the channels one by one and takes ten times as long.
    """
    batch, queries, heads = looks.shape[:3]
    cells, weights = corners(looks, weights, sizes)
    count = memory.shape[1]
    if not torch.is_grad_enabled() and memory.device.type == "cpu" and memory.dtype == torch.float32:
        cells = cells + count * torch.arange(batch)[:, None, None, None]
        rows = memory.flatten(0, 1)
        found = F.embedding_bag(cells.flatten(0, 2), rows, per_sample_weights=weights.flatten(0, 2), mode="sum")
        return found.unflatten(0, (batch, queries, heads))
    table = weights.new_zeros(batch, queries * heads, count)
    table = table.scatter_add(2, cells.flatten(1, 2), weights.flatten(1, 2))
    return (table.to(memory.dtype) @ memory).unflatten(1, (queries, heads))


def corners(looks, weights, sizes):
    """The cells around places, as rows of all maps' cells, and their weights, both (B, Q, heads, all samples * 4)."""
    size = torch.tensor([(w, h) for h, w in sizes], device=looks.device)[:, None]  # (levels, 1, 2)
    ends = torch.tensor([h * w for h, w in sizes]).cumsum(0).tolist()
    first = torch.tensor([0, *ends[:-1]], device=looks.device)[:, None]
    place = looks * size - 0.5
    low = place.floor()
    part, low = place - low, low.long()
    found = []
    for right in (False, True):
        for below in (False, True):
            x, y = low[..., 0] + right, low[..., 1] + below
            share = (part[..., 0] if right else 1 - part[..., 0]) * (part[..., 1] if below else 1 - part[..., 1])
            inside = (x >= 0) & (x < size[..., 0]) & (y >= 0) & (y < size[..., 1])
            found.append((torch.where(inside, y * size[..., 0] + x + first, 0), weights * share * inside))
    cells, shares = (torch.stack(both, -1).flatten(3) for both in zip(*found, strict=True))
    return cells, shares


def sine_code(h, w, device=None):
    """(256, h, w): sines and cosines of the row, then of the column, over wavelengths (Carion et al., ECCV 2020)."""
    half = WIDTH // 2
    wavelength = _TEMPERATURE ** (2 * (torch.arange(half, device=device) // 2) / half)
    angles = []
    for length in (h, w):
        place = torch.arange(1, length + 1, device=device, dtype=torch.float32)
        phase = ((place + _OFFSET) / (place[-1] + 1e-6) * 2 * math.pi)[:, None] / wavelength
        angles.append(torch.stack([phase[:, 0::2].sin(), phase[:, 1::2].cos()], 2).flatten(1))
    rows, columns = angles
    both = rows[:, None].expand(h, w, half), columns[None].expand(h, w, half)
    return torch.cat(both, 2).permute(2, 0, 1)
