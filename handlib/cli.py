"""The command line: ``handlib --help``."""

import argparse
import os
import sys

from handlib import eval_command, train_command
from handlib.atomic import full_disk
from handlib.files import InputError
from handlib.predict import command as predict_command
from handlib.sweeps import command as batch_command


def parser():
    top = argparse.ArgumentParser(
        prog="handlib", description="Hand and whole-body mesh recovery, from data to figures."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="make the free demo data and run every notebook on it")
    demo.add_argument("--data", default="data/demo", help="where the demo data go (default: data/demo)")
    demo.add_argument("--jobs", type=int, help="notebooks at a time (default: one per processor, at most 4)")

    doctor = commands.add_parser("doctor", help="what is present, what is missing, and where each missing file goes")
    doctor.add_argument("--data", default="data", help="the data root to look at (default: data)")

    prepare = commands.add_parser(
        "prepare", help="make what is packed of official files: AGORA's crops, UBody's pictures"
    )
    prepare.add_argument("dataset")
    prepare.add_argument("root", help="folder of the official files, e.g. data/AGORA")
    prepare.add_argument("--bodies", help="folder of the licensed body models, for AGORA's data frames")

    pack = commands.add_parser("pack", help="pack a data set's official files for fast reading")
    pack.add_argument("dataset")
    pack.add_argument("root", help="folder of the official files, e.g. data/InterHand")
    pack.add_argument("split")
    pack.add_argument("out", help="folder of the pack")
    pack.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="an option of the data set's; repeatable"
    )
    workers = pack.add_mutually_exclusive_group()
    workers.add_argument("--workers", type=int, default=None, help="processes (default: one per core)")
    workers.add_argument("--scheduler", default="", metavar="ADDRESS", help="pack on a running Dask cluster instead")
    workers.add_argument("--slurm", default="", metavar="FILE", help="pack in SLURM jobs that this YAML file describes")
    pack.add_argument(
        "--bodies",
        default=None,
        help="folder of the licensed body models, for part masks (InterHand) and poses (DexYCB)",
    )

    run = commands.add_parser("run", help="run a notebook headless: handlib run 05 --set epochs=2 --data data")
    run.add_argument("notebook", help="its number or its name")
    run.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a notebook parameter; repeatable"
    )
    run.add_argument("--data", help="the data root")
    run.add_argument("--out", help="the run folder (default: outputs/<data folder's name>/<notebook>)")

    train_command.add(commands)
    eval_command.add(commands)
    batch_command.add(commands)
    predict_command.add(commands)

    submit = commands.add_parser("submit", help="write a benchmark's submission and check it, or only check one")
    submit.add_argument("server", help="freihand, ho3d_v2, ho3d_v3, dexycb, interhand, agora_smplx, agora_smpl")
    submit.add_argument("predictions", nargs="?", help="a .npz of named arrays")
    submit.add_argument(
        "file", nargs="?", help="to write: a .zip (FreiHAND, HO-3D), .txt (DexYCB), .npz (InterHand2.6M)"
    )
    submit.add_argument(
        "--check", metavar="FILE", help="only check this file; exit code 1 when a server would reject it"
    )
    submit.add_argument("--truth", help="a .npz of true arrays, to see more")
    submit.add_argument("--samples", type=int, help="how many there must be (default: as many as the server wants)")
    submit.add_argument("--decimals", type=int, help="round to so many (default: numbers read back equal)")
    submit.add_argument("--frame", choices=("house", "official"), help="default: by the arrays' names")

    verify = commands.add_parser("verify", help="compare this code with the published implementations' figures")
    verify.add_argument(
        "systems", nargs="*", metavar="SYSTEM", help="interhand, oakink, handoccnet, wholebody, metrics (default: all)"
    )
    verify.add_argument("--reference", help="another reference folder (default: the one the repository carries)")

    bench = commands.add_parser("bench", help="speed, as ratios to a plain ResNet-50 in the same run")
    bench.add_argument("areas", nargs="*", metavar="AREA", help="which ones (default: all; a wrong name lists them)")

    bodies = commands.add_parser("bodies", help="write the free hand and body as the official files")
    bodies.add_argument("folder", help="its subfolders mano/ and smplx/, where smplx and handlib look")
    return top


def main(arguments=None):
    """Entry point. Exit codes: 0 done, 1 something is off or failed, 2 the input cannot be used."""
    options = parser().parse_args(arguments)
    return reported(lambda: COMMANDS[options.command](options))


def reported(work):
    """Call ``work`` and say in words what it raises of itself -> the exit code. Other errors, faults of handlib, go on
    with their trace.
    """
    try:
        return work() or 0
    except InputError as error:
        print(f"handlib: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"handlib: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("handlib: stopped; run the same command again to go on where it can", file=sys.stderr)
        return 130
    except Exception as error:
        full = full_disk(error)
        if full is None:
            raise
        print(f"handlib: {full}", file=sys.stderr)
        return 1


def _demo(options):
    from handlib import datasets, demo, runs, walkthrough

    data = runs.from_root(options.data)
    # Less than usual, where that would take too long.
    amounts = {"oakink": {"frames": 48}, "mscoco": {"pictures": 8}, "agora": {"pictures": 8}, "ubody": {"frames": 6}}
    for name in ("interhand", "oakink", "ho3d", "dexycb", "mscoco", "ehf", "agora", "ubody"):
        getattr(demo, f"make_{name}")(data / datasets.FOLDERS[name], **amounts.get(name, {}))
    walkthrough.walk(data, jobs=options.jobs)


def _doctor(options):
    from handlib import doctor

    return doctor.main(options.data)


def _prepare(options):
    from handlib import datasets

    done = datasets.prepare(options.dataset, options.root, options.bodies)
    print("nothing has to be made of the official files first" if done is None else done.to_string(index=False))


def _pack(options):
    from handlib import cluster, packs, runs

    extra = {name: runs.literal(value) for name, value in runs.settings(options.set).items()}
    extra |= {"bodies": os.path.abspath(options.bodies)} if options.bodies else {}
    what = options.dataset, options.root, options.split, options.out
    with cluster.connect(options.scheduler, options.slurm) as client:
        pack = packs.write(*what, workers=options.workers, client=client, **extra)
    print(f"{len(pack)} samples in {options.out}")


def _run(options):
    from handlib import runs

    print(runs.run_notebook(options.notebook, runs.settings(options.set), data=options.data, out=options.out))


def _submit(options):
    from handlib.submissions import command

    chosen = {name: getattr(options, name) for name in ("samples", "decimals", "frame")}
    return command.main(options.server, options.predictions, options.file, options.check, options.truth, **chosen)


def _verify(options):
    from handlib import verify

    unknown = set(options.systems) - set(verify.SYSTEMS)
    if unknown:
        raise InputError("verify", f"no system '{unknown.pop()}'", f"name of: {', '.join(verify.SYSTEMS)}")
    return verify.main(options.systems, options.reference)


def _bench(options):
    from handlib import bench

    return bench.main(options.areas)


def _bodies(options):
    from handlib.bodies import free

    for path in free.write_official(options.folder, ("mano", "smplx")):
        print(path)


COMMANDS = {
    "demo": _demo,
    "doctor": _doctor,
    "prepare": _prepare,
    "pack": _pack,
    "run": _run,
    "train": train_command.main,
    "eval": eval_command.main,
    "batch": batch_command.main,
    "predict": predict_command.main,
    "submit": _submit,
    "verify": _verify,
    "bench": _bench,
    "bodies": _bodies,
}
