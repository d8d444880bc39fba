"""Poses of the free body: things that people do. Hands' poses: `handlib.bodies.free.demo_poses`."""

import numpy as np

from handlib import body_joints

_ARMS_DOWN = {
    "L_Shoulder": (0, 0, -1.25),
    "R_Shoulder": (0, 0, 1.25),
    "L_Elbow": (0, -0.25, 0),
    "R_Elbow": (0, 0.25, 0),
}
_SEATED = {
    "L_Hip": (-1.45, -0.15, 0.05), "R_Hip": (-1.45, 0.15, -0.05), "L_Knee": (1.5, 0, 0), "R_Knee": (1.5, 0, 0),
    "Spine_1": (0.1, 0, 0),
}  # fmt: skip
# Axis-angle of each turned joint, radians. In T-pose: bending an elbow turns about y (left -, right +), lowering an arm
# about z (left -, right +), hips and knees about x (a thigh forward -, a shank back +).
_POSES = {
    "standing": _ARMS_DOWN | {"Neck": (0.1, 0, 0)},
    "t_pose": {},
    "walking": _ARMS_DOWN | {
        "L_Hip": (-0.5, 0, 0), "R_Hip": (0.3, 0, 0), "L_Knee": (0.3, 0, 0), "R_Knee": (0.6, 0, 0),
        "L_Shoulder": (0.25, 0.35, -1.2), "R_Shoulder": (0.25, 0.45, 1.2), "L_Elbow": (0, -0.5, 0),
        "R_Elbow": (0, 0.6, 0), "Spine_2": (0, 0.12, 0),
    },
    "running": {
        "L_Hip": (-1.1, 0, 0), "R_Hip": (0.5, 0, 0), "L_Knee": (1.4, 0, 0), "R_Knee": (0.9, 0, 0),
        "L_Shoulder": (0, 0.6, -1.1), "R_Shoulder": (0, 0.4, 1.1), "L_Elbow": (0, -1.5, 0), "R_Elbow": (0, 1.5, 0),
        "R_Ankle": (0.4, 0, 0), "Neck": (-0.15, 0, 0), "Spine_1": (0.25, 0, 0),
    },
    "sitting": _ARMS_DOWN | _SEATED | {
        "L_Shoulder": (0, -0.35, -1.1), "R_Shoulder": (0, 0.35, 1.1), "L_Elbow": (0, -0.7, 0), "R_Elbow": (0, 0.7, 0),
    },
    "typing": _SEATED | {
        "L_Shoulder": (0, -0.3, -1.15), "R_Shoulder": (0, 0.3, 1.15), "L_Elbow": (0, -1.5, 0), "R_Elbow": (0, 1.5, 0),
        "Neck": (0.25, 0, 0), "Head": (0.1, 0, 0),
    },
    "squatting": {
        "L_Hip": (-1.6, -0.4, 0.3), "R_Hip": (-1.6, 0.4, -0.3), "L_Knee": (2.0, 0, 0), "R_Knee": (2.0, 0, 0),
        "L_Ankle": (-0.45, 0, 0), "R_Ankle": (-0.45, 0, 0), "Spine_1": (0.3, 0, 0), "Spine_2": (0.2, 0, 0),
        "L_Shoulder": (0, -1.2, -0.4), "R_Shoulder": (0, 1.2, 0.4), "L_Elbow": (0, -0.5, 0), "R_Elbow": (0, 0.5, 0),
    },
    "waving": _ARMS_DOWN | {"R_Shoulder": (0, 0.3, -0.2), "R_Elbow": (0, 0.6, -1.5), "Head": (0, -0.15, 0.08)},
    "pointing": _ARMS_DOWN | {"R_Shoulder": (0, 1.3, 0.05), "R_Elbow": (0, 0.1, 0), "Neck": (0, -0.1, 0)},
    "thinking": _ARMS_DOWN | {
        "R_Shoulder": (0, 0.7, 1.15), "R_Elbow": (0, 2.25, 0), "L_Shoulder": (0, -0.5, -1.2), "L_Elbow": (0, -1.5, 0),
        "Neck": (0.2, -0.1, 0), "R_Collar": (0, 0.15, 0),
    },
    "hands_on_hips": {
        "L_Shoulder": (0, 0.35, -0.85), "R_Shoulder": (0, -0.35, 0.85), "L_Elbow": (0, -1.0, -1.25),
        "R_Elbow": (0, 1.0, 1.25),
    },
    "reaching_up": {
        "L_Shoulder": (0, -0.2, 1.1), "R_Shoulder": (0, 0.4, -0.9), "L_Collar": (0, 0, 0.2), "R_Collar": (0, 0, -0.2),
        "R_Elbow": (0, 0.4, 0), "Neck": (-0.3, 0, 0), "Spine_3": (-0.1, 0, 0),
    },
    "bowing": _ARMS_DOWN | {
        "Spine_1": (0.4, 0, 0), "Spine_2": (0.3, 0, 0), "Spine_3": (0.2, 0, 0), "Neck": (0.2, 0, 0),
    },
    "open_arms": {
        "L_Shoulder": (0, -0.6, -0.35), "R_Shoulder": (0, 0.6, 0.35), "L_Elbow": (0, -0.3, 0.1),
        "R_Elbow": (0, 0.3, -0.1), "L_Wrist": (-1.0, 0, 0), "R_Wrist": (-1.0, 0, 0), "Spine_3": (-0.1, 0, 0),
    },
}  # fmt: skip
FACES = {  # expressions of the free body (10 coefficients) and how far the jaw is open (rad)
    "neutral": ({}, 0.0), "smiling": ({0: 2.0, 5: 0.4}, 0.03), "laughing": ({0: 2.2, 2: 0.8, 5: 0.8}, 0.22),
    "surprised": ({1: 2.5, 4: 0.4}, 0.28), "angry": ({3: 2.2, 6: 0.8}, 0.0), "sad": ({6: 1.8, 1: 0.8}, 0.0),
    "speaking": ({2: 1.2, 4: 0.5}, 0.12), "eyes_closed": ({5: 2.8}, 0.0), "kiss": ({4: 2.0}, 0.0),
    "wry": ({9: 2.0}, 0.0),
}  # fmt: skip


def body_poses():
    """{name: (63,) axis-angle of the 21 joints below the root, radians}."""
    joints, poses = body_joints.SMPLX55.joints, {}
    for name, turned in _POSES.items():
        poses[name] = np.zeros((21, 3))
        for joint, turn in turned.items():
            poses[name][joints.index(joint) - 1] = turn
    return {name: pose.reshape(63) for name, pose in poses.items()}


def faces():
    """{name: (expression (10,), jaw_pose (3,))}."""
    made = {}
    for name, (shares, opening) in FACES.items():
        expression = np.zeros(10)
        expression[list(shares)] = list(shares.values())
        made[name] = expression, np.array([opening, 0.0, 0.0])
    return made
