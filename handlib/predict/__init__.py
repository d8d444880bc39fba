"""One's own pictures and videos: boxes in, hands or persons in the camera's frame out, as the network knows them.

    predictor = predict.Predictor(networks.load(FILE))
    made = predictor("photo.jpg", boxes, sides)                      # one picture -> Prediction; persons have no sides
    predict.run(predictor, "video.mp4", "out", boxes="boxes.json")   # a folder, a list, a video: streamed, resumable

Boxes are x, y, width, height in pixels of the picture as shown (EXIF orientation applied), always. Names are imported
on use, so that the command line's help stays quick.
"""

import importlib

FORMATS = ("npz", "json", "obj", "glb", "overlay")
WHOLE = "whole"  # boxes: every picture shows one hand, or one person, and nothing else

_HOMES = {
    "box_files": "BoxFile",
    "boxes": "Boxes from_keypoints overlaps sides_of without_doubles",
    "answers": "subject_of",
    "cameras": "intrinsics",
    "detectors": "MediaPipeHands",
    "job": "Done run",
    "person_detectors": "MediaPipePersons",
    "prediction": "HandPrediction PersonPrediction Prediction",
    "predictor": "Item Predictor Unusable",
    "reading": "Picture read",
    "sources": "open_source",
    "subjects": "HAND PERSON",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}
__all__ = ["FORMATS", "WHOLE", *sorted(_HOME)]


def __getattr__(name):
    if name in _HOME:
        return getattr(importlib.import_module(f"handlib.predict.{_HOME[name]}"), name)
    if name in _HOMES:
        return importlib.import_module(f"handlib.predict.{name}")
    raise AttributeError(f"module 'handlib.predict' has no attribute {name!r}; it has: {', '.join(__all__)}")


def __dir__():
    return sorted([*globals(), *_HOME, *_HOMES])
