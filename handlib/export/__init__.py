"""What comes out: predictions as meshes, rigs, parameters, pictures and videos.

``obj`` plain meshes; ``glb`` skinned ones with a skeleton, ``glb_clip`` the same moving; ``parameters`` everything as
.json or .npz, ``read_parameters`` back; ``overlay`` hands or persons drawn over their picture, ``OverlayVideo`` a video
of such.
Files appear whole or not at all.
"""

from handlib.export.axes import AXES
from handlib.export.drawn import OverlayVideo, overlay
from handlib.export.rigged import Written, glb, glb_clip
from handlib.export.saved import parameters, read_parameters
from handlib.export.wavefront import obj

__all__ = ["AXES", "OverlayVideo", "Written", "glb", "glb_clip", "obj", "overlay", "parameters", "read_parameters"]
