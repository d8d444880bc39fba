"""``handlib eval``: a checkpoint on a pack, by one process or by all ranks of torchrun or srun."""

import datetime
from pathlib import Path

HELP = "evaluate a checkpoint on a pack by its benchmark's protocol, on one GPU or on many"
PREDICTIONS = "predictions.npz"


def add(commands):
    """The command's arguments, on argparse's subparsers."""
    command = commands.add_parser(
        "eval", help=HELP, epilog="started by torchrun or srun, its ranks share the pack; run it again to go on"
    )
    command.add_argument("checkpoint", help="a published checkpoint file or a folder that handlib wrote")
    command.add_argument("pack")
    command.add_argument(
        "--root-depth", choices=("est", "gt"), default="", help="wrist depths: RootNet's (default where known) or true"
    )
    command.add_argument(
        "--submission",
        metavar="FOLDER",
        help="also write and check what the server wants (HO-3D, FreiHAND, DexYCB, AGORA)",
    )
    command.add_argument(
        "--out", help="folder of figures and receipt, which all ranks see (default: outputs/eval/<pack>_<weights>)"
    )
    command.add_argument("--keep", action="store_true", help=f"keep the predictions, too, in OUT/{PREDICTIONS}")
    command.add_argument("--batch", type=int, default=16)
    command.add_argument("--workers", type=int, default=8, help="processes that read, of each rank (default: 8)")
    command.add_argument("--half", action="store_true", help="16-bit on a GPU")
    command.add_argument("--bodies", help="folder of the licensed body models (default: the free hand or body)")
    command.add_argument("--device", default=None, help="cpu, cuda, … (default: the GPU where there is one)")
    command.add_argument(
        "--timeout",
        type=float,
        default=30,
        metavar="MINUTES",
        help="how long ranks wait for one another (default: 30)",
    )


def main(options):
    """Run it; the first rank prints the figures and writes the files. Returns the exit code."""
    from handlib import evaluation, networks, packs, ranks, runs, training

    with ranks.joined(datetime.timedelta(minutes=options.timeout)) as those:
        net, pack = networks.load(options.checkpoint, bodies=options.bodies), packs.open(options.pack)
        known = evaluation.truth_known(pack)
        if not known and not options.submission:
            evaluation.refuse_hidden(pack)
        if options.submission:
            evaluation.require_server(pack)
        protocols = evaluation.protocol_names(pack) if known else ()
        job = training.Job(
            net, pack, training.choose_root_depth(pack, options.root_depth), batch=options.batch,
            device=those.device(options.device), half=options.half, workers=options.workers,
        )  # fmt: skip
        name = f"{Path(options.pack).name}_{job.facts_kept()['weights'][:12]}"
        out = Path(options.out) if options.out else runs.from_root(Path("outputs", "eval", name))
        parts = job.parts(out / f"{PREDICTIONS}.parts", those)
        arrays = parts.known(those)
        states = parts.running(protocols, arrays, those)
    # What is left is the first rank's; the others may go.
    return _finish(options, job, parts, arrays, states, out) if those.first else 0


def _finish(options, job, parts, arrays, states, out):
    """Print and write; the parts go when nothing needs them any more."""
    from handlib import evaluation
    from handlib.submissions import command

    figures = {name: state.figures() for name, state in states.items()}
    for name, series in figures.items():
        print(f"{name}{_depths(job)}\n{series.to_string()}")
    made = parts.joined(arrays) if options.keep or options.submission else None
    if options.keep:
        made.save(out / PREDICTIONS)
    problems = ()
    if options.submission:
        path, problems, words = evaluation.submission(made, job.pack, options.submission)
        print(f"{path}: {words}")
    print(_write(options, job, figures, out))
    parts.remove()
    return command.report(problems) if options.submission else 0


def _depths(job):
    from handlib import geometry

    return "" if isinstance(job.net.input, geometry.PersonInput) else f", depths: {job.root_depth}"


def _write(options, job, figures, out):
    """Figures and receipt, which `tables.collect` finds -> path of the receipt."""
    import pandas

    from handlib import protocols, runs, tables

    run, pack, weights = runs.Run("eval", options.pack, out), job.pack, job.facts_kept()["weights"]
    split = pack.manifest["split"]
    facts = {"split": split, "data": f"{pack.manifest['dataset']} {split}, {len(pack)} samples, {options.pack}"}
    facts |= {"root_depth": job.root_depth, "checkpoint": weights[:12], "receipt": str(out / "receipt.json")}
    rows = [tables.result(series, method=f"{job.net.name} (this run)", **facts) for series in figures.values()]
    if rows:
        long = [(name, figure, value, protocols.unit(name, figure))
                for name, series in figures.items() for figure, value in series.items()]  # fmt: skip
        run.table("figures", pandas.DataFrame(long, columns=["protocol", "figure", "value", "unit"]))
    return run.finish(
        checkpoint=weights,
        checkpoint_path=options.checkpoint,
        pack=pack.manifest["hash"],
        split=split,
        frames=len(pack),
        root_depth=job.root_depth,
        device=job.device.type,
        batch=job.batch,
        protocols=list(figures),
        results=[record for row in rows for record in tables.record(row)],
    )
