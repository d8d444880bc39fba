"""``handlib train``: a recipe on packs, on one device or on all that torchrun or srun started it for."""


def add(commands):
    """The command's arguments, on argparse's subparsers."""
    command = commands.add_parser(
        "train",
        help="train by a recipe, on one GPU or on many",
        epilog="started by torchrun or srun, its processes train together; run it again to go on",
    )
    command.add_argument("recipe", help="a recipe's name (a wrong one lists them), or a .yaml file")
    command.add_argument("out", help="folder of checkpoints, history and logs, which all nodes see")
    command.add_argument("--pack", action="append", required=True, metavar="FOLDER", help="repeatable: they are mixed")
    command.add_argument("--validation", metavar="FOLDER", help="the pack to validate on")
    command.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the recipe's; repeatable"
    )
    command.add_argument(
        "--changed", action="append", default=[], metavar="NAME", help="a setting that may differ from before"
    )
    command.add_argument("--bodies", help="folder of the licensed body models (default: the free hand or body)")
    command.add_argument("--accelerator", default="auto", help="cpu, gpu, … (default: the GPU where there is one)")


def main(options):
    """Run it; returns nothing: what stops it is an error or `training.stopping.Stopped`."""
    from handlib import packs, ranks, runs, training

    given = {name: runs.literal(value) for name, value in runs.settings(options.set).items()}
    opened = [packs.open(folder) for folder in options.pack]
    fitted = training.fit(
        options.recipe, opened if opened[1:] else opened[0], options.out,
        options.validation and packs.open(options.validation), bodies=options.bodies, changed=tuple(options.changed),
        accelerator=options.accelerator, **ranks.machine(), **given,
    )  # fmt: skip
    if ranks.is_first():
        validated = fitted.validation
        print(validated.tail(1).to_string(index=False) if len(validated) else "nothing was validated")
        print(fitted.last)
