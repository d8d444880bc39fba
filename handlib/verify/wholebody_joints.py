"""Joint sets, rows of joint regressors and sizes of whole bodies against the published programs' lists.

Deviations are counts of what differs, or in the quantity's own unit.
"""

import numpy as np
import torch

from handlib import body_joints, fields, networks
from handlib.bodies import mano, wholebody
from handlib.body_joints import PARTS137
from handlib.crops import hand_targets
from handlib.crops.person import SPANS
from handlib.datasets import agora_parsing, people, ubody
from handlib.networks import hand4whole, osx, whole_body
from handlib.networks.blocks import person
from handlib.networks.blocks.resnet import ResNet
from handlib.protocols import wholebody as protocol
from handlib.verify import Row, Skip
from handlib.verify.reference import deviation

SOURCES = ("h4w", "osx", "p2p")
_SIDE = len(fields.INTERHAND42) // 2
_SETS = {
    "smplx_pose_53": body_joints.POSES53, "supervision_137": body_joints.SMPLX137,
    "position_net_65": body_joints.SMPLX65, "MSCOCO": body_joints.COCO_WHOLEBODY, "MPII": body_joints.MPII16,
    "Human36M": body_joints.HUMAN36M17, "MPI_INF_3DHP": body_joints.MPI_INF_3DHP17,
    "AGORA_127": body_joints.SMPLX127, "smpl_24": body_joints.SMPL24, "smpl_33": body_joints.SMPL33,
    "smpl_position_25": body_joints.SMPL25, "mano_16": fields.MANO16, "mano_21": fields.HAND21,
    "InterHand26M_21": fields.JointSet("one hand", fields.INTERHAND42.joints[:_SIDE], ()),
}  # fmt: skip
_HANDS = ("mano_16", "mano_21", "InterHand26M_21")  # sets in this package's names of joints
_OTHERS = ("hand_regressor_21_rows", "mesh_alignment_rows", "config")
# A row's name in the reference -> (part of `protocols.wholebody.Parts`, which of its sets).
_ALIGNED = {"pelvis": ("all", 0), "lwrist": ("hand", 0), "rwrist": ("hand", 1), "neck": ("face", 0)}


def _lists(ref):
    """(source, content) of every joints/joint_sets_*.json."""
    for source in SOURCES:
        name = f"joints/joint_sets_{source}.json"
        yield source, ref.json(name) if ref.has(name) else {}


def joint_sets(ref):
    """Names, order and mirror pairs of every joint set."""
    for source, stored in _lists(ref):
        for key in (key for key in _SETS if key in stored):
            joint_set, facts, case = _SETS[key], stored[key], f"{source}/{key}"
            ours = [_pinky(name) for name in joint_set.joints] if key in _HANDS else joint_set.joints
            wrong = set(enumerate(ours)) ^ set(enumerate(facts["names"]))
            yield Row(case, "joints that differ", len(wrong), 0)
            if "flip_pairs" in facts:
                order = np.arange(len(joint_set))
                for left, right in facts["flip_pairs"]:
                    order[[left, right]] = right, left
                yield Row(case, "mirror images that differ", (body_joints.mirrored(joint_set) != order).sum(), 0)
            if "index_into_smplx_144" in facts:
                wrong = (body_joints.FROM_SMPLX144 != facts["index_into_smplx_144"]).sum()
                yield Row(case, "places in the 144 that differ", wrong, 0)
        for key in sorted(stored.keys() - _SETS.keys() - set(_OTHERS)):
            yield Skip(f"{source}/{key}", "no check knows this list")


def _pinky(name):
    """A joint of a hand, "r_little4" or "little4", as the published programs call it, "Pinky_4"."""
    name = name.removeprefix("r_").replace("little", "pinky").capitalize()
    return f"{name[:-1]}_{name[-1]}" if name[-1].isdigit() else name


def hands(ref):
    """Which vertices are finger tips, both hands of InterHand2.6M, and the hands' rows of SMPL-X's regressor."""
    for source, stored in _lists(ref):
        if "mano_21" in stored:
            case, facts = f"{source}/mano_21", stored["mano_21"]
            numbers = mano.joints21(np.arange(778.0)[:, None], np.full((16, 1), -1.0), hand_targets.TIPS)[:, 0]
            tips = facts["fingertip_vertices"]
            ours = [numbers[facts["names"].index(tip)] for tip in tips]
            yield Row(case, "vertices of the tips", deviation(ours, list(tips.values())), 0)
            yield Row(case, "other joints that are vertices", (numbers >= 0).sum() - len(tips), 0)
        if "InterHand26M_21" in stored:
            left = [_pinky(name.removeprefix("l_")) for name in fields.INTERHAND42.joints[_SIDE:]]
            wrong = set(enumerate(left)) ^ set(enumerate(stored["InterHand26M_21"]["names"]))
            yield Row(f"{source}/InterHand26M_21", "joints of the left hand, 21..41, that differ", len(wrong), 0)
        if "hand_regressor_21_rows" in stored:
            regressor = wholebody.joint_regressor(wholebody.FREE)
            for side, ours in wholebody.hand_regressors(regressor).items():
                named = np.array([_row(name, regressor) for name in stored["hand_regressor_21_rows"][side]])
                yield Row(f"{source}/hand_regressor_21_rows", f"{side}, 21 rows", deviation(ours, named), 0)


def _row(name, regressor):
    """What "J20", a row of the regressor, or "v5361", one vertex, stands for."""
    kind, number = name[0], int(name[1:])
    return {"J": lambda: regressor[number], "v": lambda: np.eye(1, regressor.shape[1], number)[0]}[kind]()


def scoring(ref):
    """The rows by which meshes are laid over each other, and the joints of Human3.6M that count."""
    for source, stored in _lists(ref):
        if "mesh_alignment_rows" in stored:
            parts, regressor = protocol.parts(wholebody.FREE), wholebody.joint_regressor(wholebody.FREE)
            for name, row in stored["mesh_alignment_rows"].items():
                part, which = _ALIGNED[name]
                off = deviation(parts.roots[parts.vertices[part][which][1]], regressor[row])
                yield Row(f"{source}/mesh_alignment_rows", f"{name}, row {row}", off, 0)
        if "eval_joint" in stored.get("Human36M", {}):
            away = np.zeros((1, 17, 3))
            away[0, :, 0] = np.arange(17)  # each joint as many metres off as its number
            ours = protocol.h36m_errors(away, np.zeros_like(away))["mpjpe_m"][0]
            off = deviation(ours, stored["Human36M"]["eval_joint"])
            yield Row(f"{source}/Human36M", "joints that are scored", off, 0)


def parts(ref):
    """Which rows of a joint set are body, hands and face, and what these are relative to."""
    for source, stored in _lists(ref):
        for key, ours in _parts().items():
            listed = stored.get(key, {})
            known = {name: listed[name] for name in ("root", "lwrist", "rwrist", "neck") if name in listed}
            known |= {name: _rows(key, name, rows) for name, rows in listed.get("parts", {}).items()}
            for name, rows in known.items():
                mine = ours.get(name, [])
                if key == "AGORA_127":  # a joint that Hand4Whole's 137 lack has no part here but for its box
                    rows = [row for row in rows if row in ours["known"]]
                yield Row(f"{source}/{key}", f"{name}, rows that differ", len({*np.ravel(mine)} ^ {*np.ravel(rows)}), 0)


def _rows(key, name, rows):
    """Some parts are given by their first and last row."""
    ends = key in ("supervision_137", "position_net_65") and not name.endswith("MCP")
    return list(range(rows[0], rows[1] + 1)) if ends else rows


def _parts():
    """{set of the reference: {part: rows}} as our code has them."""
    rows137 = {name: np.arange(137)[rows].tolist() for name, rows in PARTS137.items()}
    rows137["hand"] = rows137["lhand"] + rows137["rhand"]
    body, hand = whole_body.BODY_JOINTS, whole_body.HAND_JOINTS
    ends = np.cumsum([0, body, hand, hand]).tolist()
    rows65 = {part: list(range(*ends[i : i + 2])) for i, part in enumerate(("body", "lhand", "rhand"))}
    rows65 |= {"hand": rows65["lhand"] + rows65["rhand"]} | dict.fromkeys(("L_MCP", "R_MCP"), hand4whole.KNUCKLES)
    fit = dict(zip(("body", "lhand", "rhand", "face"), np.eye(4, dtype=bool), strict=True))
    rows53 = {part: _learned(valid) for part, valid in fit.items()}
    places = {name: row for row, name in enumerate(body_joints.SMPLX137.joints)}
    rows127 = {
        part: [row for row, name in enumerate(body_joints.SMPLX127.joints) if places.get(name) in rows137[part]]
        for part in fit
    }
    rows127["known"] = {row for rows in rows127.values() for row in rows}
    return {"supervision_137": rows137, "position_net_65": rows65, "smplx_pose_53": rows53, "AGORA_127": rows127}


def _learned(valid):
    """Rows of the 53 whose rotation is learned from a fit of these parts alone."""
    numbers = np.zeros(10)
    fit = people.fit_fields(np.zeros((55, 3)), numbers, numbers, np.zeros(3), valid)
    there = dict(zip(body_joints.SMPLX55.joints, fit["smplx_pose_valid"], strict=True))
    return [row for row, name in enumerate(body_joints.POSES53.joints) if there[name]]


def boxes(ref):
    """AGORA's boxes of hands and face: of which of the 127 joints they are made."""
    for source, stored in _lists(ref):
        listed = stored.get("AGORA_127", {}).get("parts", {})
        for part in (part for part in whole_body.PARTS if part in listed):
            mine = np.arange(127)[agora_parsing.PARTS[f"{part}_bbox"]]
            wrong = {*mine.tolist()} ^ {*listed[part]}
            yield Row(f"{source}/AGORA_127", f"joints of the box, {part}, that differ", len(wrong), 0)


def constants(ref):
    """Sizes of crops and volumes, the virtual camera and its span (pixels, cells, metres), layers of the backbones."""
    for source, stored in _lists(ref):
        known = stored.get("config", {})
        if source == "p2p":
            for part in known:
                yield from _part_constants(f"{source}/{part}", part, known[part])
        elif known:
            yield from _person_constants(source, known)


def _person_constants(source, known):
    name = {"h4w": "hand4whole", "osx": "osx_b"}[source]
    net, spans = networks._network_class(name), [SPANS["body"], SPANS["lhand"], SPANS["face"]]
    ours = [*net.input.size[::-1], *net.input.volume, *net.hand_volume, *person.PERSON[::-1], *spans]
    theirs = [*known["input_img_shape"], *known["output_hm_shape"], *known["output_hand_hm_shape"]]
    theirs += [*known["input_body_shape"], *(known[f"{part}_3d_size"] for part in ("body", "hand", "face"))]
    yield Row(source, "crop, volumes, depths", deviation(ours, theirs), 0)
    yield Row(source, "virtual camera", deviation(*_cameras(person.PERSON, person.PERSON_SPAN, known)), 0)
    if source == "h4w":
        ours = [size for part in ("hand", "face") for size in hand4whole.CROPS[part][::-1]]
        theirs = [*known["input_hand_shape"], *known["input_face_shape"]]
        yield Row(source, "crops of hands and face", deviation(ours, theirs), 0)
        backbones = {"": "backbone", "hand_": "hand_backbone", "face_": "face_backbone"}
        with torch.device("meta"):
            made = hand4whole.Hand4Whole(torch.nn.Identity())
        ours = [_depth(getattr(made, backbone)) for backbone in backbones.values()]
        theirs = [known[f"{part}resnet_type"] for part in backbones]
        yield Row(source, "layers of the ResNets", deviation(ours, theirs), 0)
        return
    yield Skip(
        "osx/config/input_hand_shape, input_face_shape", "OSX cuts hands and faces out of features, not pictures"
    )
    ours = [*osx.FACE_VOLUME, max(osx.UPSCALES), whole_body.HAND_JOINTS, osx.FACE_JOINTS]
    theirs = [*known["output_face_hm_shape"], *(known[f"{part}_pos_joint_num"] for part in ("hand", "face"))]
    theirs.insert(3, known["upscale"])
    yield Row(source, "volume of the face, upscaling, joints", deviation(ours, theirs), 0)
    ours = [networks._network_class(size).vit[0] for size in known["feat_dim"]]
    yield Row(source, "widths of the encoders", deviation(ours, list(known["feat_dim"].values())), 0)
    ours = [ubody.EVERY[split] for split in ("train", "test")]
    theirs = [known[f"{split}_sample_interval"] for split in ("train", "test")]
    yield Row(source, "every so-manyth annotation of UBody", deviation(ours, theirs), 0)


def _part_constants(case, part, known):
    net = networks._network_class(f"pose2pose_{part}")
    with torch.device("meta"):
        made = net(None if part == "face" else torch.nn.Identity())
    ours = [*net.input.size[::-1], *net.input.volume]
    theirs = [*known["input_img_shape"], *known["output_hm_shape"]]
    yield Row(case, "crop, volume", deviation(ours, theirs), 0)
    if hasattr(net, "span"):
        yield Row(case, "virtual camera", deviation(*_cameras(net.input.size, net.span, known)), 0)
    span = SPANS[{"hand": "rhand"}.get(part, part)]
    yield Row(case, "depth, m", deviation(span, known["bbox_3d_size"]), 0)
    yield Row(case, "layers of the ResNet", deviation(_depth(made.backbone), known["resnet_type"]), 0)


def _depth(backbone):
    """Layers with weights of a ResNet, as they are counted: convolutions but those of shortcuts, and the classifier."""
    assert isinstance(backbone, ResNet)
    names = [name for name, layer in backbone.named_modules() if isinstance(layer, torch.nn.Conv2d)]
    return 1 + sum("downsample" not in name for name in names)


def _cameras(size, span, known):
    """Focal lengths, principal point and span: ours, theirs."""
    ours = [person.FOCAL, person.FOCAL, size[0] / 2, size[1] / 2, span]
    return ours, [*known["focal"], *known["princpt"], known["camera_3d_size"]]


CHECKS = [joint_sets, hands, scoring, parts, boxes, constants]
