"""InterHand2.6M in the common words."""

import numpy as np
import pandas

from handlib import fields, geometry, metrics, protocols
from handlib.evaluation.measured import Measured


class InterHand(Measured):
    """InterHand2.6M: 42 joints of two hands, each relative to its wrist."""

    protocol, joint_names = "interhand", tuple(fields.interhand_names())
    main = "mpjpe_all_mm"

    def _joints_mm(self):
        return self.found["error_mm"]

    def facts(self, data, root_depth, net):
        manifest = self.pack.manifest
        official = manifest["version"] == "1.0, 5 fps"
        words = "InterHand2.6M v1.0 5 fps" if official else f"{data}: {manifest['version']}"
        words = words if len(self.made) == len(self.pack) else f"{len(self.made)} frames of {words}"
        depths = {"est": "RootNet", "gt": "ground truth"}[root_depth]
        return {"split": manifest["split"], "data": words, "root_depth": depths}

    def curves(self):
        """Wrists, which are at 0, are left out."""
        fingers = [place for place, name in enumerate(self.joint_names) if "wrist" not in name]
        kinds = {"single hands": ~self.found["interacting"], "interacting hands": self.found["interacting"]}
        kinds = {name: np.flatnonzero(rows) for name, rows in kinds.items() if np.isfinite(self.joints_mm[rows]).any()}
        return {name: (rows, self.joints_mm[np.ix_(rows, fingers)]) for name, rows in kinds.items()}

    def on_hands(self, values):
        right, left = fields.house_hands(np.asarray(values, float)[:, None])[..., 0]
        return {"right": right, "left": left}

    def in_crops(self, items, rows):
        predicted, _ = geometry.decode_25d(self.made.predictions["joint_coord"][rows])
        targets = [item["targets"] for item in items]
        true = [geometry.decode_25d(target["joint_coord"])[0] for target in targets]
        return predicted, true, [target["joint_valid"] for target in targets]

    def in_camera(self, rows):
        part = self.made.rows(rows)
        joints = fields.house_hands(protocols.interhand.camera_joints(part.predictions, part.truth)) / 1000
        there = np.asarray(self.pack.array("hand_type")[part.index])[..., None, None]
        return dict(zip(part.index, np.where(there, joints, np.nan), strict=True))

    def frames(self):
        return self.index[["key", "hands", "sequence"]].assign(mpjpe_mm=self.frame_mm, mrrpe_mm=self.found["mrrpe_mm"])

    def part_iou(self):
        masked = np.flatnonzero(self.pack.array("part_mask_valid")[self.made.index])
        if "segm_overlap" not in self.made.predictions or not len(masked):
            return super().part_iou()
        return metrics.iou_of_overlap(self.made.predictions["segm_overlap"][masked].sum(0), tol=1), len(masked)

    def short(self):
        summary = self.figures[["mpjpe_all", "mpjpe_sh", "mpjpe_ih", "mrrpe"]].add_suffix("_mm")
        extra = pandas.Series({"handness_acc": self.figures["handness_acc"], "part_iou": self.part_iou()[0]})
        return pandas.concat([summary, extra]).rename("value").rename_axis("figure").reset_index()
