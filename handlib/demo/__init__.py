"""Free demo data in each data set's official layout on disk, rendered from the free hand (which is not MANO).

``make_interhand(root, …)``, ``make_oakink``, ``make_ho3d``, ``make_dexycb``: see ``make`` in the module of that name.
"""


def make_interhand(root, **options):
    """Write demo data in InterHand2.6M's layout under ``root``; see ``handlib.demo.interhand.make``."""
    from handlib.demo.interhand import make  # torch, OpenCV and embree only where they are needed

    return make(root, **options)


def make_oakink(root, **options):
    """Write demo data in OakInk-Image's layout under ``root``; see ``handlib.demo.oakink.make``."""
    from handlib.demo.oakink import make

    return make(root, **options)


def make_ho3d(root, **options):
    """Write demo data in HO-3D's layout (v3) under ``root``; see ``handlib.demo.ho3d.make``."""
    from handlib.demo.ho3d import make

    return make(root, **options)


def make_dexycb(root, **options):
    """Write demo data in DexYCB's layout under ``root``; see ``handlib.demo.dexycb.make``."""
    from handlib.demo.dexycb import make

    return make(root, **options)
