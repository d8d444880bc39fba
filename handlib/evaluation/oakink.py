"""OakInk-Image in the common words."""

import numpy as np

from handlib import fields, geometry
from handlib.evaluation.measured import Measured

SP = {"default": "SP0", "subject": "SP1", "object": "SP2"}  # its published splits, by the way of splitting


class OakInk(Measured):
    """OakInk-Image: 21 joints of one hand and its mesh in the camera's frame, at the true depth of the root."""

    protocol, joint_names = "oakink", fields.HAND21.joints
    main = "MPJPE_mm"

    def _joints_mm(self):
        return 1000 * self.found["joints_m"]

    def facts(self, data, root_depth, net):
        manifest = self.pack.manifest
        mode, split = manifest["options"]["mode"], manifest["split"]
        words = f"{SP.get(mode, mode)} {split}"
        where = "OakInk-Image annotations v2.1" if manifest["fits_of"] == "MANO" else f"{data}: {manifest['fits_of']}"
        return {
            "split": SP[mode] if split == "test" and mode in SP else words,
            "data": f"{where}, {words}, {len(self.made)} frames",
            "root_depth": f"ground truth (joint {net.input.root})",
            "note": f"mesh: {self.made.facts['mesh']}",
        }

    def method(self, net):
        words = self.made.facts["mesh"]
        how = " + IKNet" if words.endswith("IKNet") else " + fit" if "fit" in words.split() else ""
        return f"{net.name}{how} (this run)"

    def curves(self):
        rows = np.arange(len(self.made))
        return {
            "in the camera's frame": (rows, self.joints_mm),
            "aligned (PA)": (rows, 1000 * self.found["pa_joints_m"]),
        }

    def on_hands(self, values):
        return {"right": np.asarray(values, float)}

    def vertices_mm(self):
        return 1000 * self.found["verts_m"].mean(0) if "verts_m" in self.found else None

    def in_crops(self, items, rows):
        joints = self.made.predictions["joints_3d"][rows]
        predicted = [geometry.project(one, item["targets"]["K"]) for one, item in zip(joints, items, strict=True)]
        size = np.array(items[0]["image"].shape[:0:-1])
        true = [item["targets"]["joints_uvd"][:, :2] * size for item in items]
        return predicted, true, [item["targets"]["joints_valid"] for item in items]

    def meshes_in_crops(self, items, rows):
        if "verts_3d" not in self.made.predictions:
            return None
        return self.made.predictions["verts_3d"][rows], np.stack([item["targets"]["K"] for item in items])

    def in_camera(self, rows):
        return dict(zip(self.made.index[rows], self.made.predictions["joints_3d"][rows, None], strict=True))

    def frames(self):
        table = self.index[["key", "object", "intent", "subject", "camera", "sequence"]]
        table = table.assign(mpjpe_mm=self.frame_mm, pa_mpjpe_mm=1000 * self.found["pa_joints_m"].mean(1))
        return table.assign(mpvpe_mm=1000 * self.found["verts_m"].mean(1)) if "verts_m" in self.found else table
