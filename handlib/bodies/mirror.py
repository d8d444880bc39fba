"""The other hand of a hand model: its mirror image, pose and shape parameters included."""

import numpy as np

from handlib import fields
from handlib.bodies import files, free
from handlib.bodies.mano import ManoLayer

_ROTVEC = (1.0, -1.0, -1.0)  # what mirroring in x does to an axis-angle


def mirrored(layer):
    """A `ManoLayer` that is another one's mirror image (x -> -x), faces rewound: the same shape coefficients and
    `mirrored_pose` give the mirrored mesh. It is not MANO's own model of the other hand, whose shapes differ.
    """
    found = {name: value.detach().cpu().double().numpy() for name, value in layer.skinning.arrays().items()}
    kept = {"weights": layer.weights, "J_regressor": layer.joint_regressor, "f": layer.faces,
            "hands_mean": layer.hands_mean, "hands_components": layer.components}  # fmt: skip
    found |= {name: value.detach().cpu().numpy() for name, value in kept.items()}
    found |= {"J": found["J_regressor"] @ found["v_template"]}
    found["kintree_table"] = np.array([fields.MANO16.parents, range(len(fields.MANO16))])
    made = free.mirrored(found)
    if layer.is_free:
        made[free.MARK] = free.SOURCE
    side = "left" if layer.side == "right" else "right"
    model = files.model(made, f"the mirror image of the {layer.source}", "mano")
    return ManoLayer(model, side, layer.weights.dtype, components=len(layer.components)).to(layer.weights.device)


def mirrored_pose(pose):
    """Axis-angle pose (..., 48), numpy or torch -> that of the mirrored hand, whole or from the mean alike."""
    signs = np.tile(np.float32(_ROTVEC), pose.shape[-1] // 3)
    return pose * (pose.new_tensor(signs) if hasattr(pose, "new_tensor") else signs)
