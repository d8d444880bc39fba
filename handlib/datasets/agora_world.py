"""AGORA's cameras, which its data frames leave to its evaluation code, and the way from a person's fit to the camera.

A fit stands in the frame of the person's scan (x left, y up, z to the front). The scan is placed in the renderer's
world (x forward, y right, z up; cm and degrees), a camera's name is part of the picture's.
"""

from typing import NamedTuple

import cv2
import numpy as np

from handlib import geometry
from handlib.datasets import numbers as figures
from handlib.files import InputError

SIZE = (3840, 2160)
_SENSOR = 36.0  # mm across 3840 px; 20.25 mm down 2160 px
_UPRIGHT = np.diag([1.0, -1.0, -1.0])  # from the scan's axes to the camera's
_SCANNED = -90.0  # degrees that every scan is turned by before it is placed
# What a picture's name holds -> focal length mm, place cm, yaw and pitch in degrees; the first that fits counts.
_CAMERAS = {
    "hdri": (50, (0, 0, 170), 0, 0),
    "cam00": (18, (400, -275, 265), 135, 30),
    "cam01": (18, (400, 225, 265), -135, 30),
    "cam02": (18, (-490, 170, 265), -45, 30),
    "cam03": (18, (-490, -275, 265), 45, 30),
    "ag2": (28, (0, 0, 170), 0, 15),
}
_OTHER = 28, 0  # focal length, pitch; place and yaw stand in the frame
_EYES = 1.7  # m: what those cameras stand above the place in the frame


class Camera(NamedTuple):
    """K (3, 3) px of 3840 x 2160; x_camera = rot @ (x_world - pos), m, of a world with a camera's axes."""

    K: np.ndarray
    rot: np.ndarray
    pos: np.ndarray


def camera(row):
    """The `Camera` of a data frame's row (a mapping: imgPath, and of some pictures camX, camY, camZ, camYaw)."""
    name = row["imgPath"]
    known = next((value for part, value in _CAMERAS.items() if part in name), None)
    if known is None:
        focal, pitch = _OTHER
        x, y, z, yaw = (_number(row, key) for key in ("camX", "camY", "camZ", "camYaw"))
        pos = _axes((x, y, z)) - [0, _EYES, 0]
    else:
        focal, place, yaw, pitch = known
        pos = _axes(place)
    pixels = focal / _SENSOR * SIZE[0]
    K = geometry.intrinsics((pixels, pixels), (SIZE[0] / 2, SIZE[1] / 2))
    return Camera(K, about((1, 0, 0), pitch) @ about((0, 1, 0), -yaw), pos)


def placed(row, number, camera):
    """(turn (3, 3), shift (3,) m): x_camera = turn @ x + shift of x in the frame of the row's person's scan."""
    values = {key: row[key][number] for key in ("X", "Y", "Z", "Yaw")}
    x, y, z, yaw = (_number(values | {"imgPath": row["imgPath"]}, key) for key in values)
    turn = camera.rot @ about((0, 1, 0), yaw + _SCANNED) @ _UPRIGHT
    return turn, camera.rot @ (_axes((x, y, z)) - camera.pos)


def pixels(points, camera):
    """Points (N, 3) m in the camera's frame -> (N, 2) px of 3840 x 2160."""
    return points[:, :2] / points[:, 2:] * camera.K[[0, 1], [0, 1]] + camera.K[:2, 2]


def record(turn, shift, camera):
    """What `placed` reads, of a scan that stands upright there: {"X", "Y", "Z" (cm), "Yaw" (degrees)}."""
    x, y, z = 100 * (camera.rot.T @ shift + camera.pos)
    about_y = camera.rot.T @ turn @ _UPRIGHT
    yaw = np.degrees(np.arctan2(about_y[0, 2], about_y[0, 0])) - _SCANNED
    return {"X": z, "Y": x, "Z": -y, "Yaw": yaw}


def to_camera(rotvec, transl, root, turn, shift):
    """A fit's root rotation (3,) and translation (3,) -> those that give its mesh in the camera's frame.

    root (3,): where the body model has the root joint of this shape and expression, about which it turns.
    """
    turned = cv2.Rodrigues(turn @ cv2.Rodrigues(np.asarray(rotvec, np.float64))[0])[0][:, 0]
    return turned, turn @ (root + transl) + shift - root


def about(axis, degrees):
    """Rotation (3, 3) about an axis."""
    return cv2.Rodrigues(np.radians(degrees) * np.asarray(axis, np.float64))[0]


def _axes(place):
    """The renderer's cm -> m along a camera's axes."""
    x, y, z = np.asarray(place, np.float64) / 100
    return np.array([y, -z, x])


def _number(values, key):
    number = figures.array(values.get(key), 1)
    if number is None or number.size != 1:
        raise InputError(f"picture {values['imgPath']}", "is no finite number", "use the official data frame", key)
    return float(number.reshape(())) if number.ndim else float(number)
