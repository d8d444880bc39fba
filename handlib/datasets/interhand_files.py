"""InterHand2.6M's annotation files as compact arrays (layout of v1.0, the same at 5 and at 30 frames per second).

The big files are streamed, so that 1.36 million pictures fit in some 250 MB. Millimetres become metres here.
"""

import operator

import numpy as np

from handlib import fields, geometry
from handlib.datasets import coco, json_stream
from handlib.datasets import numbers as figures
from handlib.files import InputError, read_json, read_text, shown

HANDS = ("right", "left", "interacting")
OFFICIAL_SITE = "get it from https://mks0601.github.io/InterHand2.6M/"
_BLOCK = 1 << 14  # records that wait as Python objects
_WIDEST = 1 << 10  # numbers in a record
_DAMAGED = (ValueError, TypeError, KeyError, AttributeError, OverflowError)
_UNCHANGED = "use the official file, unchanged"


def annotation_file(root, split, kind, ending="json"):
    return root / "annotations" / split / f"InterHand2.6M_{split}_{kind}.{ending}"


class Columns:
    """Records appended one by one, kept as one numpy array per field."""

    def __init__(self, path, place, **dtypes):
        self.path, self.place, self.dtypes = path, place, dtypes
        self.pick = operator.itemgetter(*dtypes)
        self.rows, self.blocks, self.count = [], [], 0

    def append(self, record):
        try:
            if not isinstance(record, dict):
                raise TypeError
            self.rows.append(self.pick(record))
        except (KeyError, TypeError) as error:
            field = f"{self.place}[{self.count + len(self.rows)}]"
            problem = f"lacks {error}" if isinstance(error, KeyError) else "is not an object"
            raise InputError(self.path, problem, "use the official file, unchanged", field=field) from error
        if len(self.rows) == _BLOCK:
            self._flush()

    def _flush(self):
        block = {}
        for (name, dtype), values in zip(self.dtypes.items(), zip(*self.rows, strict=True), strict=True):
            try:
                block[name] = _column(values, dtype)
            except (ValueError, TypeError, AttributeError, OverflowError) as error:
                field = f"{self.place}[{self.count}..{self.count + len(self.rows) - 1}].{name}"
                raise InputError(
                    self.path, f"wrong values ({error})", "use the official file, unchanged", field
                ) from error
        self.count += len(self.rows)
        self.blocks.append(block)
        self.rows = []

    def arrays(self):
        """{field: array (N, ...)}; raises InputError where a field's shape changes from record to record."""
        if self.rows:
            self._flush()
        if not self.blocks:
            raise InputError(self.path, "holds no records", OFFICIAL_SITE, field=self.place)
        try:
            return {name: np.concatenate([block[name] for block in self.blocks]) for name in self.dtypes}
        except ValueError as error:
            problem = f"records differ in shape ({error})"
            raise InputError(self.path, problem, "use the official file, unchanged", field=self.place) from error


def _column(values, dtype):
    """Values of many records as one array; ValueError where one is of another kind, which numpy would make fit."""
    if dtype == "S":
        if not all(map(coco.is_name, values)):
            raise ValueError("text that is too long, or no text")
        return np.array([text.encode() for text in values])
    if dtype[0] == "i" and not set(map(type, values)) <= {int}:
        raise ValueError("whole numbers expected")
    if not isinstance(values[0], list):
        return np.array(values, dtype)
    if any(len(value) > _WIDEST for value in values):
        raise ValueError("a list is too long")
    found = np.array(values)
    if found.dtype.kind not in "fiu":
        raise ValueError("numbers expected")
    return found.astype(dtype)


def picture_columns(path):
    """The two record tables of data.json: what is kept of an image and of an annotation."""
    images = Columns(
        path, "images", id="i8", file_name="S", width="i4", height="i4", capture="i4", subject="i4",
        seq_name="S", camera="S", frame_idx="i4",
    )  # fmt: skip
    annotations = Columns(
        path, "annotations", id="i8", bbox="f4", joint_valid="f4", hand_type="S", hand_type_valid="f4"
    )
    return images, annotations


def read_pictures(path):
    """data.json -> {field: array (N, ...)} in file order; see `join`. Raises InputError."""
    images, annotations = picture_columns(path)
    tables = {"images": images, "annotations": annotations}
    for name, record in json_stream.items(path, OFFICIAL_SITE):
        if name in tables:
            tables[name].append(record)
    return join(path, images.arrays(), annotations.arrays())


def join(path, images, annotations):
    """Both tables as one: ``id``, ``file_name``, … and ``bbox`` (N, 4), ``joint_valid`` (N, 42) bool, ``hands`` (N,)
    index into HANDS.
    """
    mend = "use the official file, unchanged"
    if not np.array_equal(images["id"], annotations["id"]):
        sizes = f"{len(images['id'])} images, {len(annotations['id'])} annotations"
        raise InputError(
            path, f"images and annotations do not go together ({sizes}, or ids in another order)", mend, "id"
        )
    count = len(images["id"])
    if len(np.unique(images["id"])) != count:
        raise InputError(path, "the same id stands at two pictures", mend, "images.id")
    for place, name in enumerate(images["file_name"]):
        coco.relative(path, name.decode(), f"images[{place}].file_name")
    for name in ("width", "height"):
        if (odd := (images[name] < 1) | (images[name] >= coco.LARGEST_SIDE)).any():
            place = int(odd.argmax())
            raise InputError(path, f"is {images[name][place]}", mend, f"images[{place}].{name}")
    table = {**images, **annotations}
    for name, width in (("bbox", 4), ("joint_valid", 42)):
        if table[name].size != count * width:
            raise InputError(path, f"{width} values for each picture expected", mend, f"annotations.{name}")
        table[name] = table[name].reshape(count, width)
    table["joint_valid"] = table["joint_valid"] > 0
    names, codes = np.unique(table.pop("hand_type"), return_inverse=True)
    unknown = sorted({name.decode() for name in names} - set(HANDS))
    if unknown:
        raise InputError(
            path, f"unknown hand type {', '.join(unknown)}", f"allowed: {', '.join(HANDS)}", "annotations.hand_type"
        )
    table["hands"] = np.array([HANDS.index(name.decode()) for name in names], np.int8)[codes]
    for name in ("seq_name", "camera"):  # few different ones
        table[name + "s"], table[name] = np.unique(table[name], return_inverse=True)
        table[name] = table[name].astype(np.int32)
    return table


def read_cameras(path):
    """camera.json -> {(capture, camera) as strings: (K (3, 3), rotation (3, 3), position (3,) m)}."""
    cameras, found = {}, read_json(path, OFFICIAL_SITE)
    if not isinstance(found, dict):
        raise InputError(path, "holds no captures by name", _UNCHANGED)
    for capture, groups in found.items():
        if not isinstance(groups, dict) or not all(isinstance(groups.get(name, {}), dict) for name in _CAMERA):
            raise InputError(path, "does not hold cameras by name", _UNCHANGED, field=capture)
        for camera in set.intersection(*(set(groups.get(name, ())) for name in _CAMERA)):
            read = (_numbers(groups[name][camera], shape) for name, shape in _CAMERA.items())
            try:
                position, rotation, focal, centre = read
            except _DAMAGED as error:
                raise InputError(path, f"wrong values ({error})", _UNCHANGED, f"{capture}.*.{camera}") from error
            if np.isfinite(rotation).all() and not figures.is_rotation(rotation):
                raise InputError(path, "is no rotation", _UNCHANGED, f"{capture}.camrot.{camera}")
            if (focal < figures.NEAREST).any():
                raise InputError(path, "is no focal length", _UNCHANGED, f"{capture}.focal.{camera}")
            cameras[capture, camera] = geometry.intrinsics(focal, centre), rotation, position / 1000
    return cameras


_CAMERA = {"campos": (3,), "camrot": (3, 3), "focal": (2,), "princpt": (2,)}


def _numbers(value, shape):
    """A list (of lists) of as many numbers as a shape has, float64; what is not finite may stay: it is skipped later,
    one by one. ValueError for anything else, and for numbers that cannot be.
    """
    if not isinstance(value, list):
        raise ValueError("a list of numbers expected")
    found = np.array(value)
    if found.dtype.kind not in "fiub":  # joints are marked by numbers or by truth values
        raise ValueError("numbers expected")
    found = found.astype(np.float64)
    if (np.abs(found[np.isfinite(found)]) > figures.LARGEST).any():
        raise ValueError(f"a number beyond {figures.LARGEST:g}")
    return found.reshape(shape)


class Frames:
    """Arrays with one row per (capture, frame): ``index[capture, frame]`` (strings) is the row in each of
    ``arrays``.
    """

    def __init__(self, path, read, **shapes):
        """``read(value)`` -> a tuple of arrays of the given ``shapes``, or None where the frame has nothing."""
        self.index, self.arrays = {}, {}
        rows = []
        for capture, frames in json_stream.items(path, OFFICIAL_SITE):
            block = []
            for frame, value in frames.items() if isinstance(frames, dict) else ():
                try:
                    row = read(value)
                    row = row and [np.reshape(part, shape) for part, shape in zip(row, shapes.values(), strict=True)]
                except _DAMAGED as error:
                    raise InputError(path, f"wrong values ({error})", _UNCHANGED, f"{capture}.{frame}") from error
                if row is not None:
                    self.index[str(capture), str(frame)] = len(self.index)
                    block.append(row)
            rows.append([np.stack(parts) for parts in zip(*block, strict=True)] if block else None)
        rows = [row for row in rows if row]
        for place, (name, shape) in enumerate(shapes.items()):
            self.arrays[name] = np.concatenate([row[place] for row in rows]) if rows else np.zeros((0, *shape))

    def get(self, capture, frame):
        """{name: row} or None."""
        row = self.index.get((capture, frame))
        return None if row is None else {name: array[row] for name, array in self.arrays.items()}


def read_joints(path):
    """joint_3d.json -> Frames with ``joints_mm`` (2, 21, 3) float32 world millimetres and ``valid`` (2, 21), house
    order.

    Early releases have the bare 42 x 3 list under the frame: then every joint counts as known.
    """

    def read(value):
        early = isinstance(value, list)
        world = _numbers(value if early else value["world_coord"], (42, 3)).astype(np.float32)
        valid = np.ones(42, bool) if early else _numbers(value["joint_valid"], 42) > 0
        return fields.house_hands(world), fields.house_hands(valid[:, None])[..., 0]

    return Frames(path, read, joints_mm=(2, 21, 3), valid=(2, 21))


def read_fits(path):
    """MANO_NeuralAnnot.json -> Frames with ``pose`` (2, 48), ``shape`` (2, 10), ``transl`` (2, 3) m, ``valid`` (2,),
    right hand first.

    A hand without a fit, or with values that are not finite, is zeros and not valid.
    """

    def read(value):
        hands = [value.get(side) for side in ("right", "left")]
        if not any(hands):
            return None
        sizes = {"pose": 48, "shape": 10, "trans": 3}
        rows = [
            np.array([_numbers(hand[name], size) if hand else np.zeros(size) for hand in hands])
            for name, size in sizes.items()
        ]
        finite = np.all([np.isfinite(row).all(1) for row in rows], 0)
        return *(np.where(finite[:, None], row, 0) for row in rows), finite & [hand is not None for hand in hands]

    return Frames(path, read, pose=(2, 48), shape=(2, 10), transl=(2, 3), valid=(2,))


def read_rootnet(path, ids):
    """RootNet's output for the pictures ``ids`` -> boxes (N, 4) float32 and wrist depths (N, 2) m; NaN where there is
    none.
    """
    table = Columns(path, "", annot_id="i8", bbox="f4", abs_depth="f8")
    for _, record in json_stream.items(path):
        table.append(record)
    table = table.arrays()
    for name, width in (("bbox", 4), ("abs_depth", 2)):
        if table[name].size != len(table["annot_id"]) * width:
            raise InputError(path, f"{width} values for each picture expected", _UNCHANGED, name)
        table[name] = table[name].reshape(-1, width)
        if (np.abs(table[name][np.isfinite(table[name])]) > figures.LARGEST).any():
            raise InputError(path, f"holds a number beyond {figures.LARGEST:g}", _UNCHANGED, name)
    table["bbox"][~np.isfinite(table["bbox"]).all(1) | (table["bbox"][:, 2:] <= 0).any(1)] = np.nan
    boxes, depths = np.full((len(ids), 4), np.nan, np.float32), np.full((len(ids), 2), np.nan)
    order = np.argsort(table["annot_id"], kind="stable")
    last = np.searchsorted(table["annot_id"], ids, side="right", sorter=order) - 1  # a repeated id: the last one counts
    found = (last >= 0) & (table["annot_id"][order[last]] == ids)
    rows = order[last[found]]
    boxes[found], depths[found] = table["bbox"][rows], table["abs_depth"][rows] / 1000
    return boxes, depths


def check_skeleton(path):
    """Raise InputError when skeleton.txt lists other joints or parents than InterHand2.6M's 42."""
    lines = [line for line in read_text(path, OFFICIAL_SITE).splitlines() if line.strip() and line[0] != "#"]
    expected = [
        f"{name} {index} {parent}"
        for index, (name, parent) in enumerate(zip(fields.interhand_names(), fields.INTERHAND42.parents, strict=True))
    ]
    for number, (line, right) in enumerate(zip(lines, expected, strict=False)):
        if line.split() != right.split():
            problem = f"says {shown(line)} where InterHand2.6M has '{right}'"
            raise InputError(path, problem, OFFICIAL_SITE, f"joint {number}")
    if len(lines) != len(expected):
        raise InputError(path, f"lists {len(lines)} joints instead of {len(expected)}", OFFICIAL_SITE)


def read_subjects(path):
    """subject.txt -> list of rows (id, directory, gender) as text."""
    lines = read_text(path, OFFICIAL_SITE).splitlines()
    return [line.replace(",", " ").split() for line in lines if line.strip() and not line.startswith("#")]
