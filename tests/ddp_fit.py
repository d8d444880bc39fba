"""Run by test_training.py in two processes (torchrun): trains the toy and writes each process's weights and figures."""

import json
import sys
from pathlib import Path

import torch
import toy

from handlib import training

if __name__ == "__main__":
    out, devices = Path(sys.argv[1]), int(sys.argv[2])
    toy.install()
    recipe = toy.recipe(optimizer="sgd", lr=0.1, epochs=2, per_device_batch=2)
    fitted = training.fit(recipe, toy.Pack(), out, toy.Pack(5), net=toy.Net(), accelerator="cpu", devices=devices)
    rank = torch.distributed.get_rank() if devices > 1 else 0
    torch.save(fitted.net.state_dict(), out / f"weights_{rank}.pt")
    (out / f"figures_{rank}.json").write_text(json.dumps(fitted.validation["error"].tolist()))
