"""Pack and evaluate made-up frames, more and more of them, and see what grows: time, memory, disk.

    python tools/scale.py                              # 10^3, 10^4 and 10^5 frames, then what 10^7 need
    python tools/scale.py 500 1000 --workers 2 --folder /scratch --size 640 480

A frame is a hand with its mesh in OakInk's fields and a JPEG file that is read, checked and stored as one of a data set
would be; few files serve for all, so the disk is not asked to read what it has not just read. It is packed by
`handlib.packs`, read and cropped by the loader of training and evaluation, answered with the truth and noise instead of
by a network, kept, merged and measured as ``handlib eval`` does, and once more in one piece, as the notebooks do. Every
size runs in a process of its own. Memory is what a process has for itself (RssAnon); pages of files that it has mapped
are the system's to take back, and are not in it. Linux only.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from unittest import mock

import numpy as np

from handlib import geometry
from handlib.datasets.base import Reader
from handlib.datasets.windows import Window
from handlib.files import write_json

HANDS, PICTURES = 64, 32
PROTOCOL, FIGURE = "oakink", "MeanEPE.joints_3d_mepe"
NOISE = 0.005  # metres
STAGES = ("pack", "predict", "score", "whole")
SHARD = 8192  # samples of a shard of a pack of more than two million


class Frames(Reader):
    """``count`` frames of ``size`` (w, h) pixels, whose pictures and hands lie in ``bank`` (see `make_bank`)."""

    name, split = "synthetic", "test"

    def __init__(self, bank, count, size):
        super().__init__()
        self.count, self.size = count, size
        self.complete = Completion(str(bank))
        self.options = {"size": list(size)}
        self.facts = {"fits_of": "free hand"}

    def __len__(self):
        return self.count

    def light(self, index):
        """What a list of frames says."""
        sequence, frame = f"S{index // 1000:05d}_0001__2021-09-26-19-59-58", index % 1000
        width, height = self.size
        return {
            "key": f"{sequence}__0__{frame}__0", "image_path": self.complete.picture(index), "hands": "right",
            "sequence": sequence, "frame": frame, "camera": "north_east_color", "view": 0,
            "group": f"{sequence}__{frame}", "hand_number": 0, "object": f"S{index // 1000:05d}", "intent": "use",
            "subject": index // 1000, "status": "false", "image_id": index, "width": width, "height": height,
        }  # fmt: skip

    def __getitem__(self, index):
        return self.complete.annotated(self.light(index))


@dataclasses.dataclass(frozen=True)
class Completion:
    """A frame's labels, of its number, and its picture."""

    bank: str

    def picture(self, index):
        """The path of a frame's JPEG file."""
        return str(Path(self.bank) / f"{index % PICTURES:02d}.jpg")

    def annotated(self, sample):
        """The sample with its labels."""
        rng, hands = np.random.default_rng(sample["image_id"]), _hands(self.bank)
        width, height = sample["width"], sample["height"]
        place, K = (
            rng.uniform((-0.1, -0.08, 0.5), (0.1, 0.08, 0.9)),
            geometry.intrinsics((height,) * 2, (width / 2, height / 2)),
        )
        hand = rng.integers(HANDS)
        joints, yes = hands["joints"][hand] + place, np.ones((1, 21), bool)
        return sample | {
            "side": np.zeros(1, np.int8), "hand_type": yes[:, 0], "joints_cam": joints[None], "joints_valid": yes,
            "verts_cam": (hands["verts"][hand] + place)[None].astype(np.float32), "mano_valid": yes[:, 0],
            "pose_flat": hands["pose"][hand][None], "shape": np.zeros((1, 10)), "K": K,
            "object_pose": np.eye(4, dtype=np.float32),
            "bbox": geometry.tight_box(geometry.project(joints, K).astype(np.float32)),
        }  # fmt: skip

    def __call__(self, sample):
        return Window("whole", 1.0).filled(self.annotated(sample))


@functools.cache
def _hands(bank):
    with np.load(Path(bank) / "hands.npz") as file:
        return dict(file)


def make_bank(folder, size):
    """Pictures and posed free hands of which the frames are made."""
    import torch

    from handlib import bodies
    from handlib.benchmarks.data import DENSITY, encoded_near, natural_picture
    from handlib.bodies.mano import joints21

    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(PICTURES):
        picture = natural_picture(rng, size[1], size[0])
        (folder / f"{number:02d}.jpg").write_bytes(encoded_near(picture, DENSITY * picture.size / 3))
    pose = torch.as_tensor(rng.normal(0, 0.3, (HANDS, 48)), dtype=torch.float32)
    with torch.no_grad():
        out = bodies.load(None, "mano_right")(pose=pose, shape=torch.zeros(HANDS, 10), mean_added=True)
    verts, joints = (out[name].double().numpy() for name in ("verts", "joints"))
    np.savez(folder / "hands.npz", verts=verts, joints=joints21(verts, joints), pose=pose.numpy())


# ---------------------------------------------------------------------------------------------- one size, measured


class Memory(threading.Thread):
    """The most megabytes that this process (``main``) and any one of its children (``worker``) have had for themselves
    since it was started.
    """

    def __init__(self):
        super().__init__(daemon=True)
        self.main = self.worker = 0.0
        self._ended = threading.Event()

    def run(self):
        import psutil

        me = psutil.Process()
        while True:
            self.main = max(self.main, _anonymous(me.pid))
            self.worker = max([self.worker, *(_anonymous(child.pid) for child in me.children(recursive=True))])
            if self._ended.wait(0.05):
                return

    def end(self):
        self._ended.set()
        self.join()


def _anonymous(pid):
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) / 1e3
    return 0.0


@contextlib.contextmanager
def measured(row, name):
    """Note seconds (of the clock, and of all processors) and memory of the block as ``row[name]``."""
    memory, start, busy = Memory(), time.perf_counter(), _busy()
    memory.start()
    yield
    row[name] = {"seconds": time.perf_counter() - start, "busy": _busy() - busy}
    memory.end()
    row[name] |= {"main_mb": memory.main, "worker_mb": memory.worker}


def _busy():
    """Seconds of processors that this process and its ended children have had."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def size_of(folder):
    """Bytes that a folder takes on the disk."""
    return sum(path.stat().st_blocks * 512 for path in Path(folder).rglob("*"))


def one(count, folder, bank, size, workers, shard_size=None):
    """Pack and evaluate ``count`` frames in ``folder`` -> what they took, as plain values.

    shard_size: None for the usual one; else parts of predictions are full, too, as those of many frames.
    """
    from handlib import packs, ranks

    row = {"frames": count, "workers": workers}
    with measured(row, "pack"):
        pack = packs.write_from(Frames(bank, count, size), folder / "pack", workers=workers, shard_size=shard_size)
    row |= {"shard": pack.manifest["plan"]["shard_size"], "pack_bytes": size_of(folder / "pack")}
    job = answered(pack, workers)
    with _full_parts() if shard_size else contextlib.nullcontext(), measured(row, "predict"):
        parts = job.parts(folder / "parts")
    row |= {"part": parts.rows, "parts_bytes": size_of(folder / "parts")}
    known = parts.known(ranks.ALONE)
    with measured(row, "score"):
        merged = parts.running([PROTOCOL], known, ranks.ALONE)[PROTOCOL].figures()
    with measured(row, "whole"):
        figures = parts.joined(known).evaluate(PROTOCOL)
    if not merged.equals(figures) or not 0.5 * NOISE < figures[FIGURE] < 2 * NOISE:
        raise RuntimeError(f"the figures are off: merged {merged[FIGURE]}, in one piece {figures[FIGURE]}")
    return row | {"figure": float(figures[FIGURE])}


def _full_parts():
    from handlib.training import parts, predictions

    class Full(parts.Parts):
        def __init__(self, folder, places, batch, facts):
            super().__init__(folder, places, batch, facts)
            self.rows = batch * parts.BATCHES

    return mock.patch.object(predictions, "Parts", Full)


def answered(pack, workers):
    """A `handlib.training.Job` whose answers are the truth and noise."""
    import torch

    from handlib import training

    class Told(torch.nn.Module):
        """Takes the place of a network for hands in pictures of OakInk's kind."""

        input = geometry.HandInput()

        def forward(self, images):
            return {}

        def place(self, out, K, root_depth):
            return out

    class Job(training.Job):
        def run(self, places, take, *rest):
            noise = torch.Generator().manual_seed(0)

            def told(out, items):
                out, spread = {"joints_uvd": items["targets"]["joints_uvd"]}, NOISE / np.sqrt(8 / np.pi)
                for name in ("joints_cam", "verts_cam"):  # NOISE is the mean distance of what is spread like this
                    at = items["targets"][name]
                    out[name] = at + spread * torch.randn(at.shape, generator=noise)
                take(out, items)

            super().run(places, told, *rest)

    net = Told()
    return Job(net, pack, "gt", batch=64, device="cpu", workers=workers)


# ------------------------------------------------------------------------------------------------------- all sizes


def grown(rows, stage, key):
    """How much a figure of a stage grew for each frame from the last but one size to the last."""
    (less, more), frames = ((row[stage][key] for row in rows[-2:]), rows[-1]["frames"] - rows[-2]["frames"])
    return (more - less) / frames


def table(rows):
    """The measurements as Markdown."""
    stages = STAGES
    titles = [f"{stage}, s (ms of a core a frame)" for stage in stages] + [f"memory of {stage}, MB" for stage in stages]
    lines = ["| frames | shards of | " + " | ".join(titles) + " | pack, kB a frame | parts, kB a frame |"]
    lines.append("|---" * (lines[0].count("|") - 1) + "|")
    for row in rows:
        n = row["frames"]
        times = [f"{row[name]['seconds']:.1f} ({1e3 * row[name]['busy'] / n:.2f})" for name in stages]
        memory = [f"{row[name]['main_mb']:.0f} + {row[name]['worker_mb']:.0f}" for name in stages]
        disk = [f"{row[name] / n / 1e3:.1f}" for name in ("pack_bytes", "parts_bytes")]
        lines.append(f"| {n:,} | {row['shard']:,} | " + " | ".join(times + memory + disk) + " |")
    return "\n".join(lines)


def outlook(rows, frames, full):
    """What ``frames`` need, by the growth from the last but one size to the last; full: the row whose shards and parts
    are as large as theirs.
    """
    last, beyond = rows[-1], frames - rows[-1]["frames"]
    hours = {s: (last[s]["busy"] + beyond * grown(rows, s, "busy")) / 3600 for s in ("pack", "predict", "score")}
    disk = {name: last[name] / last["frames"] * frames / 1e9 for name in ("pack_bytes", "parts_bytes")}
    words = [f"{frames:,} frames, by the growth from {rows[-2]['frames']:,} to {last['frames']:,}:"]
    words.append("- time, hours of one core: " + ", ".join(f"{name} {value:.1f}" for name, value in hours.items()))
    words.append(f"- disk: pack {disk['pack_bytes']:.0f} GB, predictions {disk['parts_bytes']:.0f} GB")
    for stage in STAGES if full else ():
        words.append(
            f"- memory of {stage}: {last[stage]['main_mb']:.0f} + {last[stage]['worker_mb']:.0f} MB with "
            f"{last['frames']:,}; {full[stage]['main_mb']:.0f} + {full[stage]['worker_mb']:.0f} MB with "
            f"{full['frames']:,} in shards of {full['shard']:,} and parts of {full['part']:,}, as those of {frames:,}"
        )
    return "\n".join(words)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", nargs="*", type=int, default=[10**3, 10**4, 10**5])
    parser.add_argument("--to", type=int, default=10**7, help="say what so many need (default: 10000000)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: one per core)")
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240), metavar=("W", "H"), help="of a picture")
    parser.add_argument("--folder", help="where the frames go (default: a temporary folder); they are deleted")
    parser.add_argument(
        "--record", metavar="FILE", help="keep every size's measurements there, and go on with those kept"
    )
    parser.add_argument(
        "--full", type=int, default=2 * SHARD, metavar="N", help=f"frames of one more run, with shards of N / 2 and "
        f"parts of predictions as large as those of millions (default: {2 * SHARD}; 0: none)"
    )  # fmt: skip
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        given = json.loads(options.one)
        print(json.dumps(one(folder=Path(given.pop("folder")), **given)))
        return 0
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="scale-") as folder:
        make_bank(Path(folder) / "bank", options.size)
        rows = [_kept(folder, count, None, options) for count in options.frames]
        full = _kept(folder, options.full, options.full // 2, options) if options.full else None
    print(table(rows + [full] * bool(full)))
    if len(rows) > 1:
        print("\n" + outlook(rows, options.to, full))
    return 0


def _kept(folder, count, shard_size, options):
    """`one` in a process of its own, or what the record says of the same."""
    place = Path(folder) / "run"
    given = {"count": count, "size": list(options.size), "workers": options.workers, "shard_size": shard_size}
    record = Path(options.record) if options.record else None
    known = json.loads(record.read_text()) if record and record.exists() else []
    for row in known:
        if row["given"] == given:
            return row
    asked = json.dumps(given | {"folder": str(place), "bank": str(Path(folder) / "bank")})
    run = subprocess.run([sys.executable, __file__, "--one", asked], capture_output=True, text=True)
    shutil.rmtree(place, ignore_errors=True)
    if run.returncode:
        raise RuntimeError(f"{count} frames failed:\n{run.stderr[-4000:]}")
    row = json.loads(run.stdout.splitlines()[-1]) | {"given": given}
    print(f"{count} frames done", file=sys.stderr, flush=True)
    if record:
        write_json(record, [*known, row])
    return row


if __name__ == "__main__":
    sys.exit(main())
