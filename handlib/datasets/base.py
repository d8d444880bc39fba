"""What every reader of a data set gives, and how it says that a sample cannot be used."""

import abc


class Skip(Exception):
    """One sample that cannot be used. ``reason`` is the same for all samples with this fault, ``detail`` says it for
    this one.
    """

    def __init__(self, key, reason, detail=""):
        self.key, self.reason, self.detail = key, reason, detail
        super().__init__(key, reason, detail)  # the arguments, so that it crosses process borders whole

    def __str__(self):
        return f"{self.key}: {self.reason}" + (f" ({self.detail})" if self.detail else "")


class Reader(abc.ABC):
    """Official files -> samples in the vocabulary of `handlib.fields`, in the data set's official order.

    Iterating gives the samples that can be used and collects the others in ``skipped``. Subclasses set:

    - ``name``, ``split``; ``options``: what decides the content, as plain values
    - ``facts``: dict for the manifest (version, units, joint order …); ``notes``: what a user should know (files that
      are absent, …)
    - ``sources``: {name: path} of the annotation files read
    - ``complete``: a callable that can be sent to another process. ``complete(sample)`` does the heavy part: returns
      the sample with its pictures (encoded bytes, or uint8 arrays), checked, and part masks; raises Skip.
    """

    name = split = None
    complete = None

    def __init__(self):
        self.options, self.facts, self.sources, self.notes, self.skipped = {}, {}, {}, [], []

    @abc.abstractmethod
    def __len__(self):
        """How many samples the split lists, those that will be skipped included."""

    @abc.abstractmethod
    def __getitem__(self, index):
        """The sample without its pictures (``image_path`` says where they are). Raises Skip."""

    def __iter__(self):
        self.skipped = []
        for index in range(len(self)):
            try:
                yield self[index]
            except Skip as skip:
                self.skipped.append(skip)
