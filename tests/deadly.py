"""What a worker completes samples with until it dies; a module of its own, so that workers import little."""

import dataclasses
import os
import signal
import time
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Deadly:
    """Completes samples slowly, and kills its own process at the sample ``key``, the first few times."""

    complete: object
    folder: Path
    key: str
    times: int = 0

    def __call__(self, sample):
        time.sleep(0.02)
        if sample["key"] == self.key and (number := len(os.listdir(self.folder))) < self.times:
            (self.folder / str(number)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.complete(sample)
