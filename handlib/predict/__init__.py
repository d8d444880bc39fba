"""One's own pictures and videos: boxes in, hands in the camera's frame out.

    predictor = predict.Predictor(networks.load(FILE))
    made = predictor("photo.jpg", boxes, sides)                      # one picture -> Prediction
    predict.run(predictor, "video.mp4", "out", boxes="boxes.json")   # a folder, a list, a video: streamed, resumable

Boxes are x, y, width, height in pixels of the picture as shown (EXIF orientation applied), always.
"""

from handlib.predict.box_files import BoxFile
from handlib.predict.boxes import Boxes, from_keypoints, overlaps, sides_of, without_doubles
from handlib.predict.cameras import intrinsics
from handlib.predict.prediction import Prediction
from handlib.predict.predictor import Item, Predictor, Unusable
from handlib.predict.reading import Picture, read

__all__ = [
    "BoxFile",
    "Boxes",
    "Item",
    "Picture",
    "Prediction",
    "Predictor",
    "Unusable",
    "from_keypoints",
    "intrinsics",
    "overlaps",
    "read",
    "sides_of",
    "without_doubles",
]
