"""``handlib batch``: a sweep from the command line."""

import signal

HELP = "many runs of notebooks from one YAML file: a grid or a list, several at a time, and one table of them all"


def add(commands):
    """The command's arguments, on argparse's subparsers."""
    command = commands.add_parser(
        "batch",
        help=HELP,
        epilog="run it again to go on where it stopped: what is done and unchanged is not done again. "
        "The file's format: python -m pydoc handlib.sweeps.plan; clusters: docs/cluster.md",
    )
    command.add_argument("sweep", help="a YAML file")
    where = command.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=int, default=1, help="runs at a time on this machine (default: 1)")
    where.add_argument("--scheduler", default="", metavar="ADDRESS", help="a running Dask cluster does them instead")
    where.add_argument("--slurm", default="", metavar="FILE", help="SLURM jobs that this YAML file describes do them")
    command.add_argument("--data", default="", help="the data root, in place of the file's")
    command.add_argument("--out", default="", help="the sweep's folder (default: outputs/<data folder's name>/<sweep>)")


def main(options):
    """Run it and list what failed; exit code 1 when something did."""
    from handlib import cluster, sweeps
    from handlib.files import InputError
    from handlib.sweeps import record, summary

    if options.jobs < 1:
        raise InputError("--jobs", f"is {options.jobs}", "give at least 1")
    sweep = sweeps.read(options.sweep, options.data, options.out)
    signal.signal(signal.SIGTERM, _end)
    with cluster.connect(options.scheduler, options.slurm) as client:
        table = sweeps.run(sweep, options.jobs, client)
    failed = table[table["state"] == record.FAILED]
    print(f"{len(table) - len(failed)} of {len(table)} runs done: {sweep.folder / summary.NAME}.csv")
    for row in failed.itertuples():
        print(f"failed: {row.run}: {row.error}")
    return 1 if len(failed) else 0


def _end(number, frame):
    """As Ctrl-C: the runs under way and the cluster's jobs are ended, too."""
    raise KeyboardInterrupt
