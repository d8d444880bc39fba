"""Free demo data in each data set's official layout on disk, rendered from the free hand (which is not MANO).

``make_interhand(root, …)``, ``make_oakink(root, …)``: see ``make`` in ``handlib.demo.interhand`` and ``.oakink``.
"""


def make_interhand(root, **options):
    """Write demo data in InterHand2.6M's layout under ``root``; see ``handlib.demo.interhand.make``."""
    from handlib.demo.interhand import make  # torch, OpenCV and embree only where they are needed

    return make(root, **options)


def make_oakink(root, **options):
    """Write demo data in OakInk-Image's layout under ``root``; see ``handlib.demo.oakink.make``."""
    from handlib.demo.oakink import make

    return make(root, **options)
