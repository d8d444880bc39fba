"""One shard: the task that packs a part of a data set, wherever it runs."""

import dataclasses
from pathlib import Path

from handlib.datasets.base import Skip
from handlib.files import write_atomic
from handlib.packs import assembly, layout, store


@dataclasses.dataclass(frozen=True)
class Shard:
    """What to pack into ``folder``: light ``samples`` of a reader, the ``skips`` that it has met, its ``complete``."""

    folder: Path
    samples: list
    skips: list
    complete: object

    def __len__(self):
        """Samples that are listed, skipped ones included."""
        return len(self.samples) + len(self.skips)

    def __str__(self):
        first = self.samples[0]["key"] if self.samples else "none that can be used"
        return f"shard {self.folder.name} (its first sample: {first})"


def taken(reader, folder, start, size):
    """The `Shard` of the samples from ``start`` on, as light as the reader gives them."""
    samples, skips = [], []
    for index in range(start, min(start + size, len(reader))):
        try:
            samples.append(reader.light(index))
        except Skip as skip:
            skips.append(skip)
    return Shard(folder, samples, skips, reader.complete)


def pack(shard, going_on=iter):
    """Write a shard's folder; returns how many samples were seen. Runs in a worker.

    going_on: gives the samples one after the other, and raises where the shard is not wanted any more.
    """
    kept, skips, met = [], list(shard.skips), set()
    with write_atomic(shard.folder) as temporary:
        temporary.mkdir()
        writer = store.Writer(temporary / store.FILE)
        for sample in going_on(shard.samples):
            try:
                labels, images = layout.separate(shard.complete(sample))
            except Skip as skip:
                skips.append(skip)
                continue
            for name, picture in images.items():
                writer.put(len(kept), name, layout.encoded(picture))
            kept.append(labels)
            met.update(images)
        writer.close()
        assembly.write_labels(temporary, kept, skips, met)
    return len(shard)
