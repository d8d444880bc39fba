"""The tool that kills and starves: a few points of each scenario, and that it sees what it is to see."""

import json
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tools/faults.py needs Linux")


def faults(root, tmp_path, *words):
    """Run the tool -> (exit code, what it recorded)."""
    record = tmp_path / "record.json"
    command = [sys.executable, str(root / "tools" / "faults.py"), *words, "--small", "--record", str(record)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 3:
        pytest.skip(done.stderr)
    assert record.exists(), done.stderr[-3000:]
    return done.returncode, json.loads(record.read_text())


def test_nothing_is_lost_to_kills(root, tmp_path):
    code, seen = faults(root, tmp_path, "kill", "pack:2", "submit:2", "train:2", "notebook:1", "--seed", "4")
    assert [point["wrong"] for one in seen.values() for point in one["points"]] == [[]] * 7 and code == 0
    assert all(point["code"] != 0 for one in seen.values() for point in one["points"] if point["killed"] != "a child")


def test_a_disk_that_fills_up_is_named_and_what_was_there_stays(root, tmp_path):
    code, seen = faults(root, tmp_path, "full", "pack:2", "submit:1")
    points = [point for one in seen.values() for point in one["points"]]
    assert [point["wrong"] for point in points] == [[]] * 3 and code == 0
    assert all(point["code"] == 1 and "no space left" in point["said"] for point in points)


BAD = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, {tools!r})
import faults, fault_runs, fault_scenarios, numpy as np
fault_runs.PATIENCE = 1
fault_runs.inherit_orphans()

def half(inputs, out):  # seen under its final name while it is written
    with open(out / "a", "wb", buffering=0) as file:
        for _ in range(20):
            file.write(b"x")
            time.sleep(0.02)

def other(inputs, out):  # a second start does not go on: it adds
    with open(out / "a", "ab", buffering=0) as file:
        file.write(b"x")
    time.sleep(0.5)

def stays(inputs, out):  # a child that does not notice its parent's end
    pid = os.fork()
    if not pid:
        time.sleep(30)
    time.sleep(0.3)
    os.kill(pid, 9)
    os.waitpid(pid, 0)

for work in (half, other, stays):
    scenario = fault_scenarios.Scenario(work.__name__, "", lambda inputs, small: None, work)
    one = faults.reference(scenario, Path({scratch!r}), True)
    one.writes = 0  # kill at a time only
    rng = np.random.default_rng(0)
    print(sum((faults.kill_point(one, rng, Path({scratch!r}))["wrong"] for _ in range(3)), []))
"""


def test_the_tool_sees_half_files_other_results_and_orphans(root, tmp_path):
    script = textwrap.dedent(BAD).format(tools=str(root / "tools"), scratch=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    half, other, stays = done.stdout.splitlines()
    assert "a is another one" in half and "differs" not in half
    assert "a differs in the end" in other
    assert "stays: " in stays


EARLY = """
import asyncio, os, subprocess, sys
from handlib.kernels import KernelManager

async def start():
    manager = KernelManager(kernel_name="python3")
    await manager.start_kernel()
    os.kill(os.getpid(), 9)

if sys.argv[1:]:
    asyncio.run(start())
sys.path.insert(0, {tools!r})
import fault_runs
fault_runs.inherit_orphans()
ended = subprocess.run([sys.executable, "-c", sys.orig_argv[2], "start"]).returncode
print(ended, *fault_runs.orphans_end()[1])
"""


def test_a_kernel_whose_run_is_killed_while_it_starts_ends(root):
    script = EARLY.format(tools=str(root / "tools"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["-9"], done.stdout + done.stderr[-3000:]
