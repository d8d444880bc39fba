"""``handlib predict``: one's own pictures and videos, from the command line."""

from handlib.files import InputError
from handlib.predict import FORMATS

HELP = "hands or whole persons of your own pictures: a folder, a picture or a video to meshes, parameters and overlays"


def add(commands):
    """The command's arguments, on argparse's subparsers."""
    command = commands.add_parser(
        "predict", help=HELP, epilog="run it again to go on where it stopped; boxes are x, y, width, height in pixels"
    )
    command.add_argument("checkpoint", help="a published checkpoint file or a folder that handlib wrote")
    command.add_argument("source", help="a folder of pictures, a picture or a video")
    command.add_argument("out", help="folder of the results")
    found = command.add_mutually_exclusive_group(required=True)
    found.add_argument(
        "--boxes", metavar="FILE", help=".json or .csv of boxes (python -m pydoc handlib.predict.box_files)"
    )
    found.add_argument(
        "--keypoints",
        metavar="FILE",
        help="the same file with keypoints in place of boxes: 21 a hand, 17 or 133 a person",
    )
    found.add_argument(
        "--whole", action="store_true", help="every picture shows one hand (say --side) or person and nothing else"
    )
    found.add_argument("--detector", metavar="NAME", help="mediapipe, or module:callable of your own")
    command.add_argument(
        "--detector-models", metavar="PATH", help="MediaPipe's wheel or its folder (default: data/checkpoints)"
    )
    command.add_argument("--side", choices=("right", "left"), help="of hands for which the file says none")
    command.add_argument("--network", help="its name, where the checkpoint does not tell")
    command.add_argument(
        "--bodies", help="folder of the licensed body models (default: the free hand or body, if one is needed)"
    )
    camera = command.add_mutually_exclusive_group()
    camera.add_argument(
        "--focal", help="pixels, or 'published' (500, hands); default: EXIF's, or the picture's diagonal"
    )
    camera.add_argument("--K", metavar="FX,FY,CX,CY", help="intrinsics of every picture, pixels")
    command.add_argument("--formats", default="npz", metavar="A,B", help=f"of {','.join(FORMATS)} (default: npz)")
    command.add_argument(
        "--smooth",
        choices=("none", "one_euro", "zero_lag"),
        help="clips: one shape for each hand or person, and a filter",
    )
    command.add_argument("--fps", type=float, help="a folder's pictures are frames of a clip, so many per second")
    command.add_argument(
        "--box-scale", type=float, help="how much larger than the box the crop is (HandOccNet: 1.5; whole bodies: 1.25)"
    )
    command.add_argument("--batch", type=int, default=16, help="hands or persons at a time (default: 16)")
    command.add_argument("--device", default=None, help="cpu, cuda, … (default: the GPU where there is one)")


def main(options):
    """Run it and print what came of it."""
    from handlib import networks, predict

    net, detector = networks.load(options.checkpoint, options.network, options.bodies), None
    if options.detector:
        from handlib.predict import detector_names

        detector = detector_names.load(options.detector, options.detector_models, predict.subject_of(net))
    bodies = None if net.needs_bodies else options.bodies
    predictor = predict.Predictor(
        net, options.device, options.batch, _focal(options.focal), detector, bodies, options.box_scale
    )
    boxes = predict.WHOLE if options.whole else options.boxes or options.keypoints
    done = predict.run(
        predictor, options.source, options.out, boxes, options.side, _intrinsics(options.K),
        options.formats.split(","), options.smooth, options.fps,
    )  # fmt: skip
    report(done, predictor)


def report(done, predictor):
    for remark in done.remarks:
        print(remark)
    subject, model = predictor.subject, predictor.reader.layer
    pictures = done.found.picture.nunique()
    print(f"{subject.counted(len(done.found))} of {pictures} pictures in {done.folder}; {done.made} pictures read now")
    if model.is_free:
        print(f"the {subject.noun} model is the {model.source}")
    if done.found.doubtful.any():
        count = subject.counted(done.found.doubtful.sum())
        print(f"doubtful: {count}, whose joints in space and in the picture do not agree")
    if len(done.skipped):
        print(f"{len(done.skipped)} left out, see {done.folder / 'skipped.csv'}: {done.skipped.reason.iloc[0]}")
    if done.jitter is not None:
        print(done.jitter.to_string(index=False))


def _focal(text):
    if text in (None, "published"):
        return text
    try:
        return float(text)
    except ValueError as error:
        raise InputError("--focal", f"'{text}' is no number", "give pixels, or 'published'") from error


def _intrinsics(text):
    if text is None:
        return None
    try:
        fx, fy, cx, cy = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError("--K", f"'{text}' is not four numbers", "write --K FX,FY,CX,CY") from error
    return [[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]
