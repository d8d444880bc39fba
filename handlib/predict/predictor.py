"""From pictures with boxes to hands, or persons, in the camera's frame."""

import collections
import contextlib
import dataclasses
import time

import numpy as np
import torch

from handlib.files import InputError
from handlib.predict import answers, boxes, cameras, reading

STAGES = ("decode", "detect", "crop", "network", "model", "translation")
_HELD = 1 << 28  # bytes of pictures that may wait for their hands or persons


@dataclasses.dataclass(frozen=True, eq=False)
class Item:
    """A picture and what is known of it, as for `Predictor.__call__`.

    boxes None: a detector finds them; or a callable (`reading.Picture`, K) -> boxes, sides, scores.
    """

    image: object
    boxes: object = None
    sides: object = None
    K: object = None
    name: str | None = None
    scores: object = None


@dataclasses.dataclass(frozen=True)
class Unusable:
    """A picture that was left out, and why."""

    name: str
    reason: str


class Predictor:
    """A network and what stands around it.

        predictor = Predictor(networks.load(FILE))
        made = predictor("photo.jpg", boxes=[[120, 80, 90, 110]], sides="left")
        for made in predictor.many(items): ...  # hands of many pictures go through the network together

    net: a network with its weights, of one hand (HandOccNet, hand-only Pose2Pose, IntegralPose, RLE, I2L-MeshNet) or of
    one person (Hand4Whole, OSX, body-only Pose2Pose; boxes are then of persons and have no sides): see `answers` and
    `persons` for what each says and what is assumed. It is moved to ``device`` (None: the GPU where there is one) and
    put into eval mode.
    batch: hands or persons that go through it at once. focal: what pictures without K are taken to have, see
    `cameras.intrinsics`. detector: a callable that finds the boxes, see `boxes.detected`. bodies: folder or file of the
    hand model that networks without one are completed with (None: the free hand). box_scale: how much larger than the
    box a crop is (None: the network's; HandOccNet's demo has 1.25).

    ``subject``: `subjects.HAND` or PERSON. ``layers``: {"right", "left"} of hand models, the left one the mirror image
    of the network's right hand, as left hands are shown to it mirrored; or {"person"}. ``seconds``: {stage: seconds so
    far}.
    """

    def __init__(self, net, device=None, batch=16, focal=None, detector=None, bodies=None, box_scale=None):
        if batch < 1:
            raise InputError("Predictor", f"is {batch}", "give 1 or more", "batch")
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.net = net.to(self.device).eval()
        self.reader = answers.reader(self.net, bodies, box_scale)
        self.batch, self.focal, self.detector = batch, focal, detector
        self.subject, self.layers = self.reader.kind.subject, self.reader.layers
        if focal == "published" and not self.subject.sided:
            problem = "is 500 px, those of HandOccNet's demo; whole-body networks take a camera of its own for each box"
            raise InputError("Predictor", problem, "give pixels, or nothing", "focal")
        found = getattr(detector, "subject", self.subject)
        if found is not self.subject:
            mend = f"give a detector of {self.subject.plural}, or boxes"
            raise InputError("Predictor", f"finds {found.plural}, and the network takes others", mend, "detector")
        self.seconds = dict.fromkeys(STAGES, 0.0)

    def __call__(self, image, boxes=None, sides=None, K=None, name=None, scores=None):
        """The hands or persons of one picture -> `HandPrediction` or `PersonPrediction` (`prediction.Prediction`).

        image: a path, an array or a PIL image (`reading.read`); boxes (N, 4): x, y, width, height in pixels of the
        picture as shown; sides, of hands alone: "right" or "left" (0, 1), one for all or one each; K (3, 3) in pixels,
        None: assumed, see ``focal``; scores (N,) are handed through. Raises InputError for a picture, box, side or K
        that cannot be used, naming it.
        """
        (made,) = self.many([Item(image, boxes, sides, K, name, scores)])
        return made

    def many(self, items, skip=False, pictures=False):
        """Predictions of `Item` s (or tuples, or dicts, of the same), one by one, in order; memory stays bounded.

        skip: what cannot be used does not end it: boxes are left out and named in ``Prediction.skipped``, and in place
        of the prediction of an unreadable picture comes an `Unusable`. pictures: give pairs of these and the
        `reading.Picture` (None for an unreadable one).
        """
        waiting, found = collections.deque(), []
        for item in items:
            entry = self._entry(item, skip)
            waiting.append(entry)
            found += entry.found
            while len(found) >= self.batch or (found and self._too_many(waiting)):
                self._answer(found[: self.batch])
                del found[: self.batch]
            yield from self._done(waiting, pictures)
        while found:
            self._answer(found[: self.batch])
            del found[: self.batch]
        yield from self._done(waiting, pictures)

    def facts(self):
        """What decides its answers, for receipts: the network and its weights, what is assumed."""
        from handlib.training.predictions import fingerprint

        detector = None if self.detector is None else getattr(self.detector, "name", _name(self.detector))
        return {"network": self.net.name, "weights": fingerprint(self.net), "focal": self.focal, "detector": detector,
                "box_scale": self.reader.box_scale, f"{self.subject.noun}_model": self.reader.layer.source}  # fmt: skip

    def _too_many(self, waiting):
        return len(waiting) > 4 * self.batch or sum(one.picture.image.nbytes for one in waiting if one.found) > _HELD

    def _done(self, waiting, pictures):
        while waiting and all(one.answer is not None for one in waiting[0].found):
            entry = waiting.popleft()
            made = entry.unusable or self._prediction(entry)
            yield (made, entry.picture) if pictures else made

    def _entry(self, item, skip):
        """A picture, read, with a crop for each of its hands or persons."""
        item = item if isinstance(item, Item) else Item(**item) if isinstance(item, dict) else Item(*item)
        try:
            with self._timed("decode"):
                picture = reading.read(item.image, item.name)
        except InputError as error:
            if not skip:
                raise
            return _Entry(None, None, "", None, unusable=Unusable(str(item.name or item.image), str(error)))
        K, source = cameras.intrinsics(picture, item.K, self.focal)
        boxed = self._boxes(item, picture, K, skip)
        entry = _Entry(picture, K, source, boxed)
        with self._timed("crop"):
            for box, side in zip(boxed.boxes, boxed.side, strict=True):
                crop, inverse = self.reader.crop(picture.image, box, int(side), K)
                entry.found.append(_Found(crop, inverse, bool(side), K))
        return entry

    def _boxes(self, item, picture, K, skip):
        crop, given = self.net.input.size, (item.boxes, item.sides, item.scores)
        if callable(item.boxes):
            given = item.boxes(picture, K)
        if given[0] is not None:
            return boxes.checked(given[0], given[1], picture.size, picture.name, given[2], crop, skip, self.subject)
        if self.detector is None:
            if skip:
                return boxes.none("has no boxes, and there is no detector")
            raise InputError(picture.name, "has no boxes", "give boxes, or the Predictor a detector", "boxes")
        with self._timed("detect"):
            return boxes.detected(self.detector, picture.image, picture.size, picture.name, crop, self.subject)

    @torch.inference_mode()
    def _answer(self, found):
        """Put some hands or persons through the network and into space."""
        with self._timed("network"):
            images = torch.from_numpy(np.stack([one.crop for one in found])).to(self.device)
            out = self.net(images)
        with self._timed("model"):
            inverse, K = (self._tensor([getattr(one, name) for one in found]) for name in ("inverse", "K"))
            left = torch.tensor([one.left for one in found], device=self.device)
            made = self.reader.read(_finite(out), inverse, left, K)
        with self._timed("translation"):
            made = {name: value.float().cpu().numpy() for name, value in self.reader.placed(made, K).items()}
        for row, one in enumerate(found):
            one.answer, one.crop = {name: value[row] for name, value in made.items()}, None

    def _tensor(self, arrays):
        kind = torch.float32 if self.device.type == "mps" else torch.float64
        return torch.from_numpy(np.stack(arrays)).to(self.device, kind)

    def _prediction(self, entry):
        picture, boxed, kind = entry.picture, entry.boxed, self.reader.kind
        facts = {"name": picture.name, "size": picture.size, "K": entry.K, "K_source": entry.source}
        facts |= self.reader.constants | {"skipped": boxed.skipped}
        if not entry.found:
            return kind.none(**facts, lengths=self.reader.lengths)
        arrays = {name: np.stack([one.answer[name] for one in entry.found]) for name in entry.found[0].answer}
        arrays |= {"boxes": boxed.boxes.astype(np.float32), "score": boxed.score.astype(np.float32)}
        return kind(**facts, **arrays, **({"side": boxed.side} if self.subject.sided else {}))

    @contextlib.contextmanager
    def _timed(self, stage):
        start = time.perf_counter()
        try:
            yield
        finally:
            if self.device.type == "cuda" and stage in STAGES[3:]:
                torch.cuda.synchronize(self.device)
            self.seconds[stage] += time.perf_counter() - start


def _name(detector):
    return getattr(detector, "__name__", type(detector).__name__)


def _finite(out):
    """The network's output; InputError when it is none."""
    for name, value in out.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise InputError("network", "answers with NaN or infinite values", "look at its weights", name)
    return out


@dataclasses.dataclass(eq=False)
class _Found:
    crop: np.ndarray
    inverse: np.ndarray
    left: bool
    K: np.ndarray
    answer: dict | None = None


@dataclasses.dataclass(eq=False)
class _Entry:
    picture: object
    K: np.ndarray
    source: str
    boxed: object
    found: list = dataclasses.field(default_factory=list)
    unusable: object = None
