"""What a picture is asked for: hands or persons. The network's input decides."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Subject:
    """``noun``, ``plural``; ``labels``: what one of them may be, by which its layer is found too; ``keypoints``: how
    many in a picture make one; ``margin``: how many times their box the subject's is; ``root``: its first joint.
    """

    noun: str
    plural: str
    labels: tuple
    keypoints: tuple
    margin: float
    root: str

    @property
    def sided(self):
        """Whether it must be said which of the labels one is."""
        return len(self.labels) > 1

    def counted(self, count):
        """ "no hand", "1 hand", "2 hands"."""
        return f"{count or 'no'} {self.noun if count < 2 else self.plural}"


SIDES = ("right", "left")
HAND = Subject("hand", "hands", SIDES, (21,), 1.0, "wrist")
# Of persons COCO's 17 keypoints, or COCO-WholeBody's 133: they end at eyes and ankles; AGORA's boxes are 1.2 times as
# large as the box of the joints (its published conversion).
PERSON = Subject("person", "persons", ("person",), (17, 133), 1.2, "pelvis")
SUBJECTS = {one.noun: one for one in (HAND, PERSON)}
