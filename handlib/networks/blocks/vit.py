"""The Vision Transformer (Dosovitskiy et al., ICLR 2021) as ViTPose and OSX have it: no class token, and in OSX learnt
task tokens before the patches.
"""

import torch
from torch import nn
from torch.nn import functional as F

from handlib.networks.blocks.products import linear

PATCH, PADDING, EPS = 16, 2, 1e-6  # pixels; of the layer norms


class Encoder(nn.Module):
    """Pictures (B, 3, H, W) -> features (B, width, H / 16, W / 16) and tokens (B, tokens, width).

    drop_path: how often, in training, the last block is passed by for a sample; earlier blocks proportionately less.
    """

    def __init__(self, size, width, depth, heads, tokens, drop_path):
        super().__init__()
        self.cells = size[1] // PATCH, size[0] // PATCH
        self.task_tokens = nn.Parameter(torch.empty(1, tokens, width))
        self.pos_embed = nn.Parameter(torch.empty(1, self.cells[0] * self.cells[1] + 1, width))  # the first: of all
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, PATCH, PATCH, PADDING)})
        rates = [drop_path * number / max(1, depth - 1) for number in range(depth)]
        self.blocks = nn.ModuleList(Block(width, heads, rate) for rate in rates)
        self.last_norm = nn.LayerNorm(width, EPS)
        self.apply(_initialise)
        for codes in (self.task_tokens, self.pos_embed):
            nn.init.trunc_normal_(codes, std=0.02)

    def forward(self, images, keep):
        x = self.patch_embed["proj"](images).flatten(2).mT
        keep("patch_tokens", x)
        x = x + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        x = torch.cat([self.task_tokens.expand(len(x), -1, -1), x], 1)
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in (0, len(self.blocks) - 1):
                keep("block_0" if number == 0 else "block_last", x)
        tokens, x = self.last_norm(x).tensor_split((self.task_tokens.shape[1],), 1)
        return x.mT.unflatten(2, self.cells), tokens


class Block(nn.Module):
    """Attention among the tokens (B, N, width) and an MLP, both after their norms and added to what came."""

    def __init__(self, width, heads, drop_path):
        super().__init__()
        self.heads, self.drop_path = heads, drop_path
        self.norm1, self.norm2 = nn.LayerNorm(width, EPS), nn.LayerNorm(width, EPS)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x):
        x = x + self._dropped(self._attention(self.norm1(x)))
        return x + self._dropped(linear(self.mlp["fc2"], F.gelu(linear(self.mlp["fc1"], self.norm2(x)))))

    def attention(self, x):
        """How much each token takes from each, of what comes into the block: (B, heads, N, N), rows sum to 1."""
        q, k, _ = linear(self.attn["qkv"], self.norm1(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)

    def _attention(self, x):
        q, k, v = linear(self.attn["qkv"], x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return linear(self.attn["proj"], F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    def _dropped(self, x):
        """Stochastic depth (Huang et al., ECCV 2016): nothing for some samples, the others so much larger."""
        if not self.training or self.drop_path == 0:
            return x
        kept = 1 - self.drop_path
        return x * (x.new_empty(len(x), 1, 1).bernoulli_(kept) / kept)


def _initialise(module):
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
