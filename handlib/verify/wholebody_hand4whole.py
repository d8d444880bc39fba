"""Hand4Whole against the published program: names, every stage, losses, gradients, and AGORA as the only set."""

import torch

from handlib.networks.hand4whole import Hand4Whole
from handlib.verify import Row, wholebody_cases
from handlib.verify.reference import deviation

FOLDER, KEYS = "hand4whole", "hand4whole/keys_hand4whole.json"
OUTPUTS = {
    "out_joint_img": "joints_img", "joint_cam": "joints", "mesh_cam": "verts", "out_cam_trans": "transl",
    "out_smplx_lhand_pose": "lhand_pose", "out_smplx_body_pose": "body_pose",
}  # fmt: skip


def forward(ref):
    """Every stage; the answers again as they are made in use, without gradient."""
    yield from wholebody_cases.missing(ref, FOLDER)
    for case, facts in wholebody_cases.cases(ref, FOLDER):
        net, arrays = network(ref, facts), ref.npz(f"{FOLDER}/case_{case}.npz")
        images = wholebody_cases.picture(facts)
        with torch.no_grad():
            yield from wholebody_cases.stage_rows(case, net(images, stages=True), facts, arrays)
        with torch.inference_mode():
            out = net(images)
        for name, ours in OUTPUTS.items():
            known = facts["stages"][name]
            bar = max(wholebody_cases.FLOOR, wholebody_cases.TIMES * known["float32_noise"])
            yield wholebody_cases.stage_row(case, f"{name}, in use", out[ours].numpy(), known, arrays[name], bar)
        box = out["face_bbox"].clone()
        box[:, 2:] += box[:, :2]
        yield Row(case, "face_bbox as x, y, w, h", deviation(box, arrays["out_face_bbox"]), 1e-3)


def training(ref):
    """Losses and gradients, in eval mode; the same where AGORA is the only training set."""
    for case, facts in wholebody_cases.cases(ref, FOLDER):
        if not ref.has(f"{FOLDER}/targets_{case}.npz"):
            continue
        net, given = network(ref, facts), wholebody_cases.targets(ref, f"{FOLDER}/targets_{case}.npz")
        images, noise = wholebody_cases.picture(facts), facts["grad_float32_rel_noise"]
        for part, camera_only in (("training", False), ("training_agora_only", True)):
            net.camera_only = camera_only
            elements = net.elements(net(images), given)
            label = case if not camera_only else f"{case}, AGORA only"
            yield from wholebody_cases.loss_rows(label, elements, facts[part])
            total = sum(value.mean() for value in elements.values())
            yield from wholebody_cases.gradient_rows(label, net, total, facts[part], noise, {})


def keys(ref):
    """The published names."""
    if ref.has(KEYS):
        yield from wholebody_cases.key_rows(ref, KEYS, Hand4Whole(wholebody_cases.body("smplx")))


def network(ref, facts):
    return wholebody_cases.network(ref, "hand4whole", KEYS, facts, wholebody_cases.body("smplx"))


CHECKS = [forward, training, keys]
