"""The Predictor with HandOccNet: each stage for 1 and for 64 hands, and hands against one by one.

The published network took 4.3 times a plain ResNet-50's forward of one picture for one picture (float32, eager, batch
1, as its demo calls it). Fresh weights would see every hand in one point: the weights here are those that the
reference folder describes, which give hands.
"""

import cv2
import numpy as np
import torch

from handlib import predict
from handlib.benchmarks import Row, interleaved
from handlib.benchmarks.networks import SIZE, Yardstick
from handlib.predict.predictor import STAGES
from handlib.verify import handoccnet_cases, reference

HANDS, TWO = 64, 2  # hands in a run; hands in each of its pictures
PUBLISHED, FASTER = 4.3, {"cpu": 2, "cuda": 5}
ALLOWED = 1e-4  # metres
_PLAIN = 8  # hands that are run one by one
REPEATS = 3


def bench_predict():
    """Per hand: whole and by stage, the ResNet-50 forward of one picture beside it; then the largest deviation."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    predictor = predict.Predictor(handoccnet_cases.network(reference.shipped("handoccnet")), device, batch=16)
    predictor.net.requires_grad_(False)
    items, yardstick = _items(), Yardstick().eval().to(device)
    one, crops = items[0], _crops(predictor, items)
    stages = {1: [], HANDS: []}

    def ours(count, given):
        predictor.seconds = dict.fromkeys(STAGES, 0.0)
        list(predictor.many(given))
        stages[count].append(predictor.seconds)

    picture = torch.rand(1, 3, SIZE, SIZE, device=device)
    functions = [
        lambda: ours(1, [predict.Item(one.image, one.boxes[:1], one.sides[:1])]),
        lambda: ours(HANDS, items),
        lambda: _one_by_one(predictor.net, crops[:_PLAIN]),
        lambda: _unit(yardstick, picture),
    ]
    single, many, plain, unit = interleaved(functions, repeats=REPEATS, warm_up=1)
    unit_name = f"ResNet-50 forward, batch 1, {device}"
    for count, seconds in ((1, single), (HANDS, many)):
        for stage in STAGES:
            median = float(np.median([kept[stage] for kept in stages[count][1:]]))
            if stage != "detect":
                yield Row(f"{count} hands: {stage}, per hand", median / count, unit_name, unit)
        per_frame = seconds / max(1, count // TWO)
        yield Row(f"{count} hands: per picture ({1 / per_frame:.1f} a second)", per_frame, unit_name, unit)
    bar = PUBLISHED / FASTER[device]
    yield Row(f"{HANDS} hands: all, per hand", many / HANDS, unit_name, unit, PUBLISHED, bar)
    yield Row(f"{HANDS} hands against one by one", many / HANDS, "this network, eager, batch 1", plain / _PLAIN)
    yield Row("largest vertex deviation, mm", _deviation(predictor, items, crops), "allowed, mm", ALLOWED, None, 1.0)


def _items(size=(640, 480)):
    """Pictures with two hands' boxes each, as encoded files hold them."""
    rng, items = np.random.default_rng(0), []
    for _ in range(HANDS // TWO):
        small = rng.integers(0, 255, (size[1] // 16, size[0] // 16, 3), np.uint8)
        picture = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)
        corners = rng.uniform((50, 50), (400, 250), (TWO, 2))
        items.append(
            predict.Item(picture, np.concatenate([corners, rng.uniform(80, 160, (TWO, 2))], 1), ["right", "left"])
        )
    return items


def _crops(predictor, items):
    boxes = [(item.image, box, number) for item in items for number, box in enumerate(item.boxes)]
    return torch.from_numpy(np.stack([predictor.reader.crop(*given, None)[0] for given in boxes])).to(predictor.device)


def _one_by_one(net, crops):
    """Float32, eager, each batch norm by itself: what is left off where nothing could be learnt."""
    with torch.enable_grad():
        verts = [net(crop[None])["verts"].cpu() for crop in crops]
    return torch.cat(verts)


def _unit(yardstick, picture):
    with torch.inference_mode():
        yardstick(picture)[0, 0].item()


def _deviation(predictor, items, crops):
    """Metres, of meshes before their place in space is found, left hands as the network sees them."""
    plain = _one_by_one(predictor.net, crops)
    made = [one for item in predictor.many(items) for one in zip(item.verts_cam, item.transl, item.side, strict=True)]
    ours = torch.from_numpy(np.stack([(verts - transl) * (1 - 2 * side, 1, 1) for verts, transl, side in made]))
    return (ours - plain).norm(dim=-1).max().item()


BENCHES = [bench_predict]
