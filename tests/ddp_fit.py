"""Run by test_training.py in two processes (torchrun): trains the toy and writes each process's weights and figures;
by training/test_faults.py with a spoilt sample: writes the error of each.
"""

import json
import os
import sys
from pathlib import Path

import torch
import toy

from handlib import training

if __name__ == "__main__":
    out, devices = Path(sys.argv[1]), int(sys.argv[2])
    toy.install()
    recipe = toy.recipe(optimizer="sgd", lr=0.1, epochs=2, per_device_batch=2)
    rank = int(os.environ.get("RANK", 0))
    if sys.argv[3:] == ["spoilt"]:
        pack = toy.Pack()
        pack.x[5] = float("nan")
        try:
            training.fit(recipe, pack, out, net=toy.Net(), accelerator="cpu", devices=devices)
        except training.watch.Diverged as error:
            (out / f"stopped_{rank}.json").write_text(json.dumps(str(error)))
        sys.exit()
    fitted = training.fit(recipe, toy.Pack(), out, toy.Pack(5), net=toy.Net(), accelerator="cpu", devices=devices)
    torch.save(fitted.net.state_dict(), out / f"weights_{rank}.pt")
    (out / f"figures_{rank}.json").write_text(json.dumps(fitted.validation["error"].tolist()))
