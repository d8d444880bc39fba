"""Run by test_ranks.py in several processes: every protocol's states merged, and ``handlib eval`` on small packs.

A process finds its rank in the environment, as torchrun sets it; alone there is none, and it does the same.
"""

import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import mano_packs
import numpy as np
import people_packs
import torch

from handlib import bodies, cli, geometry, networks, packs, protocols, ranks
from handlib.protocols import wholebody
from handlib.verify import interhand_metrics, reference

# Every protocol's figures, each rank with rows of its own


def pair(protocol, folder):
    """(predictions, truth, options) of a protocol; folder: where the regressors of SMPL lie, see `smpl_files`."""
    metrics, rng = reference.shipped("metrics"), np.random.default_rng(0)
    if protocol == "interhand":
        return *next(interhand_metrics.cases(reference.shipped("interhand")))[3:], {}
    if protocol in ("freihand", "ho3d_v2", "ho3d_v3", "oakink", "dexycb_handoccnet"):
        stored = metrics.npz("freihand.npz")
        names = {"joints_3d": "xyz", "verts_3d": "verts"} if protocol == "oakink" else {"xyz": "xyz", "verts": "verts"}
        mine, true = ({ours: stored[f"plain/{name}{end}"] for ours, name in names.items()} for end in ("_pred", ""))
        sides = {"hand_type": np.array(["left", "right"] * 12)} if protocol == "dexycb_handoccnet" else {}
        return mine, true | sides, {}
    if protocol == "dexycb":
        stored, ids = metrics.npz("dexycb.npz"), np.arange(60)
        mine = {"joint_3d": stored["plain/pred_mm"], "id": ids}
        return mine, {"joint_3d": stored["plain/joint_3d"], "id": ids}, {}
    smpl = protocol in ("agora_smpl", "agora_val_smpl", "pw3d")
    size = 6890 if smpl else 10475
    true = rng.normal(0, 0.3, (5, size, 3)) + [0, 0, 8]
    mine = (true + rng.normal(0, 0.02, true.shape)).astype(np.float32)
    if protocol.startswith("agora_smpl"):
        return _agora(mine, true, 24 if smpl else 127, smpl)
    truth = {"verts": true}
    if protocol == "ubody":
        turn = np.tile(np.array([[1.0, 0, 0], [0, 1.0, 0]]), (5, 1, 1))
        truth |= {"bb2img_trans": turn, "image_size": np.full((5, 2), [200.0, 256.0])}
    if protocol == "human36m":
        truth = {"joint_cam": wholebody.regressor("free", "smplx", "h36m") @ true * 1000}
    return {"verts": mine}, truth, {"bodies": str(folder) if smpl else "free"}


def _agora(mine, true, joints, smpl):
    """A person in each of five pictures, of which the third is missed."""
    flat = np.random.default_rng(1).uniform(0, 100, (24, 2))
    truth = [{"imgPath": f"{n}.png", "isValid": [True], "occlusion": [10.0], "kid": [False], "gt_joints_2d": [flat],
              "gt_joints_3d": [verts[:joints]], "gt_verts": [verts]} for n, verts in enumerate(true)]  # fmt: skip
    found = {f"{n}.png": [{"joints": flat, "allSmplJoints3d": verts[:joints], "verts": verts}]
             for n, verts in enumerate(mine) if n != 2}  # fmt: skip
    names = ("body",) if smpl else ("body", "left_hand", "right_hand", "face")
    return found, truth, {"bodies": {name: np.arange(k, true.shape[1], 9) for k, name in enumerate(names)}}


def smpl_files(folder):
    """The regressors that the protocols with SMPL's meshes read."""
    draw = np.random.default_rng(2)
    rows = {name: draw.random((count, 6890)) for name, count in (("joints", 24), ("h36m", 17))}
    rows = {name: row / row.sum(1, keepdims=True) for name, row in rows.items()}
    np.savez(folder / "SMPL_NEUTRAL.npz", J_regressor=rows["joints"])
    np.save(folder / "J_regressor_h36m_smpl.npy", rows["h36m"])


def share(protocol, given, rank, world):
    """The rows of a rank: the last one has none, the one before it a single one."""
    mine, true, _ = given
    count = len(next(iter(true.values()))) if isinstance(true, dict) else len(true)
    ends = [0, *[count - 1] * (world - 2), count, count] if world > 1 else [0, count]
    rows = slice(ends[rank], ends[rank + 1])
    if isinstance(true, list):
        return {row["imgPath"]: mine[row["imgPath"]] for row in true[rows] if row["imgPath"] in mine}, true[rows]
    return tuple({name: array[rows] for name, array in group.items()} for group in (mine, true))


def merged(those, folder):
    """{protocol: its figures, as hexadecimal floats} of all rows, each measured by one rank."""
    found = {}
    for protocol in protocols.names():
        given = pair(protocol, folder)
        state, mine = protocols.running(protocol, **given[2]), share(protocol, given, those.rank, those.world)
        if len(mine[1] if isinstance(mine[1], list) else next(iter(mine[1].values()))):
            state.update(*mine)
        first, *others = those.shared(state)
        for other in others:
            first.merge(other)
        found[protocol] = {name: float(value).hex() for name, value in first.figures(warn=False).items()}
    return found


# ``handlib eval``


class Hands(torch.nn.Module):
    """Joints and mesh of a hand from a few pixels of its crop."""

    name, input = "handoccnet", geometry.ManoInput()

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.head = bodies.load("free", "mano_right"), torch.nn.Linear(3 * 16, 3 * (21 + 778))

    def forward(self, images):
        shrunk = torch.nn.functional.adaptive_avg_pool2d(images, 4).flatten(1)
        points = 0.1 * self.head(10 * (shrunk - 0.5)).unflatten(1, (-1, 3))
        return {"joints": points[:, :21], "verts": points[:, 21:]}


def hands(dataset, count, **facts):
    """A pack of hands in pictures of noise."""
    pack = mano_packs.Pack(dataset, count, folder=Path(dataset), **facts)
    for number, sample in enumerate(pack.samples):
        low = np.random.default_rng(number).integers(0, 255, (12, 16, 3), np.uint8)
        sample["image"] = low.repeat(40, 0).repeat(40, 1)
    return pack


def install(folder, setattr=setattr):
    """Let ``handlib eval NET PACK`` know the networks and packs here; people's packs are in ``folder``."""
    made = {
        "ho3d": lambda: hands("ho3d", 11),
        "ho3d_hidden": lambda: hands("ho3d", 5, hidden=True),
        "dexycb": lambda: hands("dexycb", 7),
    }
    opened = packs.open

    def open_pack(name):
        if str(name) in made:
            return made[str(name)]()
        pack = opened(folder / f"{name}")
        pack.manifest["fits_of"] = people_packs.FREE
        return pack

    nets = {"hands": Hands, "persons": people_packs.Tiny}
    setattr(packs, "open", open_pack)
    setattr(networks, "load", lambda name, bodies: nets[name]().eval())


CASES = {  # network, pack, size of a batch, whether it is submitted
    "ho3d": ("hands", "ho3d", 2, True),
    "ho3d_hidden": ("hands", "ho3d_hidden", 1, True),
    "dexycb": ("hands", "dexycb", 3, True),
    "ubody": ("persons", "ubody_train", 1, False),
}


def evaluate(case, out):
    """Exit code of ``handlib eval`` on a case, its files in ``out/case``."""
    net, pack, batch, submitted = CASES[case]
    given = ["eval", net, pack, "--batch", str(batch), "--device", "cpu", "--workers", "0", "--keep"]
    given += ["--out", str(out / case), "--timeout", "5"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cli.main(given + (["--submission", str(out / case / "sent")] if submitted else []))


def fault(at, sign):
    """This process is killed when the network is asked for the ``at``-th time. sign: a file that is then there."""
    forward, asked = Hands.forward, [0]

    def dying(self, images):
        asked[0] += 1
        if asked[0] == at:
            sign.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return forward(self, images)

    Hands.forward = dying


def patient(sign):
    """The network of this process answers nothing before the file ``sign`` is there: another's turn comes for sure."""
    forward = Hands.forward

    def waiting(self, images):
        while not sign.exists():
            time.sleep(0.05)
        return forward(self, images)

    Hands.forward = waiting


def main(folder, out, *cases):
    torch.set_num_threads(1)
    install(folder)
    rank = int(os.environ.get("RANK", 0))
    if os.environ.get("FAULT"):
        who, at = map(int, os.environ["FAULT"].split(","))
        if rank == who:
            fault(at, out / "dying")
        else:
            patient(out / "dying")
    with ranks.joined() as those:
        if "merged" in cases:
            (out / f"merged_{rank}.json").write_text(json.dumps(merged(those, folder)))
        codes = (evaluate(case, out) for case in cases if case != "merged")
        return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
