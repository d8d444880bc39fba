"""Samples -> a packed folder -> random access; the same format for every data set (`handlib.packs.layout` describes
it).

``write(name, root, split, out, **options)`` packs, ``open(folder)`` opens, ``find(folder, dataset, split)`` picks one
of several; each gives a `Pack`. ``place(folder, dataset, split)`` is where a pack lies among others.
"""

from handlib.packs.finding import find, place
from handlib.packs.reading import Pack
from handlib.packs.reading import open_pack as open
from handlib.packs.writing import write, write_from

__all__ = ["Pack", "find", "open", "place", "write", "write_from"]
