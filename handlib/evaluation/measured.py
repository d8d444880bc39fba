"""What every benchmark's predictions can be asked, in the same words."""

import warnings

import pandas

from handlib import analysis, tables
from handlib.tables import facts as known


class Measured:
    """Errors of N frames. Subclasses give the methods that raise NotImplementedError here.

    protocol: its name; joint_names: J; main: the figure by which groups are compared, as `as_printed` names it.
    made, pack; index: the pack's rows of these frames; found: what the protocol's ``per_sample`` gives; figures: its
    Series; joints_mm (N, J): NaN where a joint does not count; frame_mm (N,): their mean.
    """

    protocol, joint_names, main = None, (), ""

    def __init__(self, made, pack):
        self.made, self.pack, self.index = made, pack, pack.index.iloc[made.index]
        self.found = made.per_sample(self.protocol)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*no meshes were predicted")  # ``facts["mesh"]`` says so
            self.figures = made.evaluate(self.protocol)
        self.joints_mm = self._joints_mm()
        self.frame_mm = analysis.per_frame(self.joints_mm)

    @property
    def shown(self):
        """The figures that a table shows."""
        return tables.SUMMARY[self.protocol]

    def facts(self, data, root_depth, net):
        """How a row of results names split, data and where the depths come from, worded as published where it is the
        same; data: the data root's name.
        """
        raise NotImplementedError

    def method(self, net):
        """The row's method."""
        return f"{net.name} (this run)"

    def curves(self):
        """What PCK curves are drawn of: {words: (rows, distances (len(rows), K) mm)}."""
        raise NotImplementedError

    def on_hands(self, values):
        """Values of the joints (J,) -> {"right": (21,), …}, HAND21."""
        raise NotImplementedError

    def vertices_mm(self):
        """The mean error of each vertex (V,), None where no mesh was predicted."""
        return None

    def in_crops(self, items, rows):
        """Joints of some frames in the pixels of their crops: predicted, true, and which count; a list each."""
        raise NotImplementedError

    def meshes_in_crops(self, items, rows):
        """Meshes of some frames as their crops show them: (n, V, 3) m and the crops' intrinsics (n, 3, 3); None where
        no mesh was predicted.
        """
        return None

    def in_camera(self, rows):
        """The predicted joints of some frames, {place in the pack: (H, 21, 3)} m, NaN for a hand that is not there."""
        raise NotImplementedError

    def frames(self):
        """A row per frame: what it shows, and its errors."""
        raise NotImplementedError

    def captions(self, rows, places=1):
        """Words for some frames: what they show, and their mean error."""
        table = self.frames().iloc[rows]
        what = [_what(row) for row in table.to_dict("records")]
        return [f"{words}, {mm:.{places}f} mm" for words, mm in zip(what, self.frame_mm[rows], strict=True)]

    def part_iou(self):
        """Mean intersection over union of the hand's parts, and over how many frames; NaN where nothing is known."""
        return float("nan"), 0

    def short(self):
        """The figures that a run's summary keeps -> DataFrame."""
        figures = as_printed(self.figures, self.protocol).dropna()
        return figures.rename("value").rename_axis("figure").reset_index()


def _what(row):
    if "intent" in row:
        return f"{row['object']}, {row['intent']}"
    return f"{row['object']}, {row['hands']} hand" if "object" in row else row["hands"]


def as_printed(figures, protocol):
    """Figures under the names and in the units in which the published table prints them: OakInk's evaluator calls its
    MPJPE ``MeanEPE.joints_3d_mepe``, in metres. A Series keeps these figures alone; of a table the columns change.
    """
    quoted = known.shipped().get(protocol, {}).get("quoted") or {}
    names = {official: (printed, factor) for printed, (official, factor) in quoted.items()}
    if isinstance(figures, pandas.Series):
        shown = {names[name][0]: names[name][1] * figures[name] for name in names if name in figures}
        return pandas.Series(shown) if names else figures
    table = figures.copy()
    for official, (printed, factor) in names.items():
        for ending in ("", "_low", "_high", "_difference"):
            column = tables.column(protocol, official) + ending
            if column in table:
                table[column] *= factor
                table = table.rename(columns={column: printed + ending})
    return table
