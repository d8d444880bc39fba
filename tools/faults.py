"""Kill and starve handlib's long works, and see that nothing is lost.

    python tools/faults.py kill                            # 50 random kills of each scenario
    python tools/faults.py kill pack train --points 10 --seed 3 --record kills.json
    python tools/faults.py full --points 8                 # a disk that fills up: as root, or with user namespaces

Each scenario (`fault_scenarios`) is run undisturbed first. Every point then starts it in a fresh folder and kills it
(SIGKILL): at a random moment, or just before a random one of its writes; the process itself, all of its processes, or
one that it started. What lies under a final name then must be something that an undisturbed run has there at some
time; the same command must go on to the same result, with no leftovers; no process may stay. Linux only.
"""

import argparse
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # before numpy: a fork wants no other threads

import fault_scenarios
import numpy as np
from fault_runs import CRASHED, Writes, descendants, ended, found, inherit_orphans, leftovers, orphans_end, start

from handlib.files import write_json

FITS = 3600  # seconds for any run
_NAMESPACE = "HANDLIB_FAULTS_NAMESPACE"


# ------------------------------------------------------------------------------------------------------ one scenario


@dataclasses.dataclass
class Reference:
    """An undisturbed run: what it leaves, every state a file has on the way, seconds, writes, and (full) bytes."""

    scenario: object
    inputs: Path
    result: dict
    states: dict
    seconds: float
    writes: int
    bytes: int = 0

    def wrong_in(self, out, known):
        """Half files, and files that an undisturbed run never has there."""
        whole, broken = found(out, known)
        wrong = [f"{name} is not whole ({why})" for name, why in broken.items()]
        return wrong + [
            f"{name} is another one"
            for name, text in whole.items()
            if text not in self.states.get(name, ()) and ".failed." not in name  # what says that a cell failed
        ]

    def wrong_after(self, out, known):
        """What differs from the undisturbed result."""
        whole, broken = found(out, known)
        names = sorted(name for name in {*whole, *self.result} if whole.get(name) != self.result.get(name))
        return [f"{name} differs in the end" for name in {*names, *broken}] + [
            f"{name} is left over" for name in leftovers(out)
        ]


def prepared(scenario, scratch, small):
    """The scenario's inputs, made in a child: this process must stay without threads."""
    inputs = scratch / scenario.name / "inputs"
    inputs.mkdir(parents=True)
    maker = dataclasses.replace(scenario, work=lambda inputs, out: scenario.prepare(inputs, small) and 0)
    code = ended(start(maker, inputs, scratch / scenario.name, scratch / scenario.name / "inputs.log"), FITS)
    if code != 0:
        raise SystemExit(f"{scenario.name}: {(scratch / scenario.name / 'inputs.log').read_text()}")
    return inputs


def reference(scenario, scratch, small, disk=None):
    """Run the scenario undisturbed: once noting every state, and (not small) once more for its time and to see that it
    gives the same again.
    """
    inputs, place = prepared(scenario, scratch, small), disk or scratch / scenario.name
    out, own = place / "out", scratch / scenario.name
    notes, log = own / "states.jsonl", own / "log"
    used, most = (lambda: _used(disk)) if disk else (lambda: 0), [0]
    began, before = time.monotonic(), used()
    hook = Writes(out, own / "count", notes)
    code = ended(start(scenario, inputs, out, log, hook), FITS, lambda: most.append(max(most.pop(), used() - before)))
    if code != 0:
        raise SystemExit(f"{scenario.name}: undisturbed, it ends with {code}\n{log.read_text()}")
    result, broken = found(out, {})
    wrong = [*broken, *leftovers(out)]
    states = {name: {text} for name, text in result.items()}
    for line in notes.read_text().splitlines():
        for name, text in json.loads(line).items():
            states.setdefault(name, set()).add(text)
    one = Reference(scenario, inputs, result, states, time.monotonic() - began, hook.total(), most[0])
    shutil.rmtree(out)
    if not small and not disk:
        began = time.monotonic()
        ended(start(scenario, inputs, out, log), FITS)
        one.seconds = time.monotonic() - began
        wrong += one.wrong_after(out, {})
        shutil.rmtree(out)
    if wrong or orphans_end()[1]:
        raise SystemExit(f"{scenario.name}: undisturbed, it leaves {wrong or 'processes'}")
    return one


def killed(one, rng, out, log):
    """Start the scenario and kill it -> what was done and seen, or None where it had ended before."""
    at_write, moment = bool(rng.random() < 0.5) and one.writes > 0, float(rng.uniform(0, one.seconds))
    victim = str(rng.choice(["itself", "all", "a child"], p=[0.6, 0.2, 0.2]))
    at = 1 + int(rng.integers(max(1, one.writes)))
    hook = Writes(out, log.with_name("count"), None, at) if at_write else None
    pid = start(one.scenario, one.inputs, out, log, hook)
    said = {"when": f"write {hook.at}" if at_write else f"{moment:.3f} s", "killed": "itself" if at_write else victim}
    code = ended(pid, FITS if at_write else moment)
    if code is None:
        children = descendants(pid)
        chosen = {"itself": [pid], "all": [pid, *children], "a child": children[:]}[victim]
        if victim == "a child":
            chosen = [int(rng.choice(children))] if children else [pid]
            said["killed"] = victim if children else "itself"
        for target in chosen:
            _kill(target)
        code = ended(pid, FITS)
    elif code != -signal.SIGKILL:
        return None if code == 0 else said | {"wrong": [f"ended with {code}: {log.read_text()[-600:]}"]}
    text = log.read_text()
    named = code <= 0 or (code != CRASHED and "handlib: " in text)
    return said | {"code": code, "wrong": [] if named else [f"a child's end is not named: {text[-600:]}"]}


def _kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def kill_point(one, rng, scratch):
    """One point: kill (one time in five twice), look, start again, compare -> what was seen."""
    out, log, known = scratch / one.scenario.name / "out", scratch / one.scenario.name / "log", {}
    while (said := killed(one, rng, out, log)) is None:  # it had ended before
        orphans_end()
        shutil.rmtree(out)
    wrong, kills = said["wrong"], 1
    wrong += one.wrong_in(out, known)
    said["leftovers"] = len(leftovers(out))
    if rng.random() < 0.2 and (again := killed(one, rng, out, log)) is not None:
        wrong += again["wrong"] + one.wrong_in(out, known)
        kills = 2
    said["orphans_s"], staying = orphans_end() if rng.random() < 0.5 else (None, [])  # or goes on beside them
    code = ended(start(one.scenario, one.inputs, out, log), FITS)
    if code != 0:
        wrong.append(f"does not go on: it ends with {code}: {log.read_text()[-600:]}")
    staying += orphans_end()[1]
    wrong += one.wrong_after(out, known) + [f"stays: {words}" for words in staying]
    shutil.rmtree(out)
    return said | {"kills": kills, "wrong": wrong}


# -------------------------------------------------------------------------------------------------------- full disks


def _used(disk):
    state = os.statvfs(disk)
    return (state.f_blocks - state.f_bfree) * state.f_frsize


def full_point(one, free, scratch, disk):
    """Leave ``free`` bytes, run, look, make space, run again -> what was seen."""
    out, log, ballast, known = disk / "out", scratch / one.scenario.name / "log", disk / "ballast", {}
    state = os.statvfs(disk)
    with open(ballast, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, state.f_bfree * state.f_frsize - free))
    code, wrong = ended(start(one.scenario, one.inputs, out, log), FITS), []
    text = log.read_text()
    if code != 0:
        wanted = {"no space left": "what is wrong", "o mend it": "the mend", str(disk): "the path"}
        wrong += [
            f"the error does not name {what}: {text[-900:]}" for words, what in wanted.items() if words not in text
        ]
        if "Traceback (most recent call last)" in text or code < 0 or code == CRASHED:
            wrong.append(f"ends with {code} and a bare trace: {text[-900:]}")
    wrong += one.wrong_in(out, known) + [f"stays: {words}" for words in orphans_end()[1]]
    ballast.unlink()
    again = ended(start(one.scenario, one.inputs, out, log), FITS)
    if again != 0:
        wrong.append(f"does not go on: it ends with {again}: {log.read_text()[-600:]}")
    wrong += one.wrong_after(out, known) + [f"stays: {words}" for words in orphans_end()[1]]
    shutil.rmtree(out)
    line = next((line for line in text.splitlines() if "no space left" in line), "")
    return {"free": free, "code": code, "said": line[-200:], "wrong": wrong}


def in_namespace():
    """Start this command again where it may mount a disk that nobody else sees; False where that cannot be."""
    flags = "-m" if os.geteuid() == 0 else "-rm"
    try:
        mount = ["unshare", flags, "mount", "-t", "tmpfs", "tmpfs", tempfile.gettempdir()]
        if subprocess.run(mount, capture_output=True).returncode:
            return False
    except FileNotFoundError:
        return False
    os.environ[_NAMESPACE] = "1"
    os.execvp("unshare", ["unshare", flags, sys.executable, *sys.argv])


# --------------------------------------------------------------------------------------------------------- the command


def summary(kind, one, points):
    """A scenario's row of the table."""
    bad = sum(bool(point["wrong"]) for point in points)
    row = {"scenario": one.scenario.name, "seconds": round(one.seconds, 1), "points": len(points), "wrong": bad}
    if kind == "full":
        return row | {"MB": round(one.bytes / 1e6, 1), "stopped": sum(point["code"] != 0 for point in points)}
    at_write = sum(point["when"].startswith("write") for point in points)
    victims = {who: sum(point["killed"] == who for point in points) for who in ("itself", "all", "a child")}
    longest = max((point["orphans_s"] or 0 for point in points), default=0)
    return row | {"kills": sum(point["kills"] for point in points), "at a write": at_write, **victims,
                  "with leftovers": sum(point["leftovers"] > 0 for point in points),
                  "longest orphan, s": round(longest, 1)}  # fmt: skip


def warm(names):
    """Import what the scenarios need, once, without starting a thread."""
    import torch

    from handlib import cli, packs, submissions  # noqa: F401

    if {"train", "eval"} & set(names):
        from handlib import evaluation  # noqa: F401
        from handlib.training import loop  # noqa: F401
    if {"notebook", "notebook01"} & set(names):
        import nbconvert  # noqa: F401
        import papermill  # noqa: F401
    torch.set_num_threads(1)


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("kill", "full"))
    names = ", ".join(fault_scenarios.scenarios(False))
    parser.add_argument("names", nargs="*", metavar="SCENARIO[:POINTS]", help=f"default: all: {names}")
    parser.add_argument("--points", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="less work in each, as for the tests")
    parser.add_argument("--record", help="write everything that was seen to this JSON file")
    options = parser.parse_args(words)
    known = fault_scenarios.scenarios(options.small)
    pairs = [name.partition(":") for name in options.names or known]
    wanted = {name: int(count or options.points) for name, _, count in pairs}
    if unknown := set(wanted) - set(known):
        parser.error(f"no scenario '{unknown.pop()}'; there are {', '.join(known)}")
    if options.kind == "full" and _NAMESPACE not in os.environ and not in_namespace():
        print("no disk can be mounted here: that needs root or user namespaces (unshare)", file=sys.stderr)
        return 3
    warm(wanted)
    inherit_orphans()
    record = {}
    with tempfile.TemporaryDirectory(prefix="faults-") as scratch:
        for name, count in wanted.items():
            points = []
            for one, point in tried(known[name], options, count, Path(scratch)):
                points.append(point)
                for problem in point["wrong"]:
                    print(f"  {name}, {point.get('when', point.get('free'))}: {problem}", flush=True)
                record[name] = {"summary": summary(options.kind, one, points), "points": points}
                if options.record:
                    write_json(options.record, record)
            print(json.dumps(record[name]["summary"]), flush=True)
    return int(any(one["summary"]["wrong"] for one in record.values()))


def tried(scenario, options, count, scratch):
    """Yield (the undisturbed run, what a point saw) for each point."""
    rng = np.random.default_rng([options.seed, sum(scenario.name.encode())])
    if options.kind == "kill":
        one = reference(scenario, scratch, options.small)
        yield from ((one, kill_point(one, rng, scratch)) for _ in range(count))
        return
    disk = scratch / f"disk-{scenario.name}"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", disk], check=True)
    try:
        one = reference(scenario, scratch, options.small, disk)
        for number in range(count):
            free = int(one.bytes * (number + rng.random()) / count)
            yield one, full_point(one, free, scratch, disk)
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


if __name__ == "__main__":
    sys.exit(main())
