import os
import subprocess
import sys

import pytest

CODE = """
import resource
import torch
from handlib.networks import heap

done = heap.keep()
x = torch.zeros(2**24)  # 64 MiB, above what glibc keeps by itself

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    (x + 1).relu().sum()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(done, [faults() for _ in range(20)][-1])
"""


def run(**environment):
    """Whether the heap is kept, and the page faults of a step that allocates two large tensors, after 19 such steps."""
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment)
    answer, faults = done.stdout.split()
    return answer == "True", int(faults)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the setting is glibc's")
def test_large_tensors_keep_their_pages():
    kept, faults = run()
    if not kept:
        pytest.skip("the C library is not glibc")
    assert faults < 1000


def test_the_allocator_can_be_left_alone():
    kept, faults = run(HANDLIB_HEAP="default")
    assert not kept
