"""Training and prediction, the same way for every network.

    fitted = training.fit("digit_interhand", pack, out, epochs=2)      # Lightning; resumes where it stopped
    made = training.predict(fitted.net, pack, root_depth="gt")         # official arrays
    made.evaluate("interhand")                                         # figures
    training.fit("hand4whole_stage1", [human36m, mscoco, mpii], out, validation=ehf)   # packs mixed half and half

A network gives ``loss(out, targets)`` and ``input`` (its crop); a crop gives items; everything else is here.
"""

from handlib.training.data import Crops, subset
from handlib.training.predictions import Job, Predictions, choose_root_depth, predict

__all__ = ["Crops", "Fitted", "Job", "Predictions", "choose_root_depth", "fit", "network", "predict", "subset"]


def __getattr__(name):  # Lightning takes seconds to import: only what trains pays
    if name in ("fit", "Fitted", "network"):
        from handlib.training import loop

        return getattr(loop, name)
    raise AttributeError(f"module 'handlib.training' has no attribute {name!r}; it has {', '.join(__all__)}")
