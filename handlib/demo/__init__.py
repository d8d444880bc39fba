"""Free demo data in each data set's official layout on disk, rendered from the free hand (which is not MANO) and the
free body (which is not SMPL-X).

``make_interhand(root, …)``, ``make_oakink``, ``make_ho3d``, ``make_dexycb`` of hands, ``make_mscoco``, ``make_ehf``,
``make_ubody``, ``make_agora`` of whole bodies: see ``make`` in the module of that name.
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


def make_mscoco(root, **options):
    """Write demo data in MSCOCO's layout (COCO-WholeBody) under ``root``; see ``handlib.demo.mscoco.make``."""
    from handlib.demo.mscoco import make

    return make(root, **options)


def make_ehf(root, **options):
    """Write demo data in EHF's layout under ``root``; see ``handlib.demo.ehf.make``."""
    from handlib.demo.ehf import make

    return make(root, **options)


def make_ubody(root, **options):
    """Write demo data in UBody's layout, videos included, under ``root``; see ``handlib.demo.ubody.make``."""
    from handlib.demo.ubody import make

    return make(root, **options)


def make_agora(root, **options):
    """Write demo data in AGORA's layout, its data frames included, under ``root``; see ``handlib.demo.agora.make``."""
    from handlib.demo.agora import make

    return make(root, **options)
