"""Mutation fuzzing of what handlib reads: every mutant reads right, or is refused by handlib's own error.

    python tools/fuzz.py                                     # every target, 200 mutants each
    python tools/fuzz.py mano_pkl boxes_json --count 5000 --seed 3 --keep faults
    python tools/fuzz.py --minutes 60                        # the long run: an equal share of the time for each target
    python tools/fuzz.py mano_pkl --seed 3 --only 417        # one mutant again, with its traceback

A `Target` makes small whole files and reads them. A mutant is those files with one to three changes (`fuzz_mutants`),
drawn from seed, target and number alone, so that any of them can be made again. It is read in a forked child with
bounded memory and processor time, so that a crash, a hang or an exhausted memory is a fault like any other:

- right: ``read`` returned, having checked what came;
- refused: InputError that names the file and the mend, Skip with its reason, or a RuntimeError that handlib raises;
- fault: any other exception, a check that failed (a silent wrong figure), code that ran, a crash, a hang, memory.

Exit code 1 when there was a fault. ``--keep`` keeps the files of the first mutant of each kind of fault.
"""

import argparse
import dataclasses
import faulthandler
import importlib
import os
import random
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import fuzz_mutants

from handlib.files import InputError
from handlib.processes import one_thread

MODULES = ("fuzz_files", "fuzz_submissions", "fuzz_datasets")  # each has TARGETS
PACKAGE = Path(sys.modules["handlib"].__file__).parent
MEMORY = 1 << 30  # bytes a reader may take beyond what the process has
SECONDS = 10  # of processor time for a mutant
WALL = 120  # seconds; the machine may be busy
BATCH = 100  # mutants a child reads
LONGEST = 10_000  # characters of an error's message
RIGHT, REFUSED, FAULT = "right", "refused", "fault"


@dataclasses.dataclass(frozen=True)
class Target:
    """``make(folder)`` writes small whole files; ``read(folder)`` reads all of them through handlib's public functions
    and checks what came (AssertionError where it is not finite, or of another shape than declared).

    only: patterns of the files that are mutated, all by default. memory: bytes that reading may take.
    """

    name: str
    make: Callable
    read: Callable
    only: tuple = ("*",)
    memory: int = MEMORY

    def files(self, folder):
        """Relative paths of what is mutated, sorted."""
        found = (path for pattern in self.only for path in Path(folder).rglob(pattern) if path.is_file())
        return sorted({path.relative_to(folder).as_posix() for path in found})


@dataclasses.dataclass
class Report:
    """What came of a target's mutants. faults: {kind: [number of the mutant, …]}."""

    target: str
    right: int = 0
    refused: int = 0
    seconds: float = 0.0
    faults: dict = dataclasses.field(default_factory=dict)

    @property
    def mutants(self):
        return self.right + self.refused + sum(map(len, self.faults.values()))

    def add(self, number, verdict, text):
        if verdict == FAULT:
            self.faults.setdefault(text, []).append(number)
        else:
            setattr(self, verdict, getattr(self, verdict) + 1)


def verdict(read, folder, names):
    """(verdict, text) of one reading. names: of files, one of which a refusal must name."""
    trace = Path(f"{folder}.ran")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(folder)
        said = RIGHT, ""
    except Exception as error:
        said = _of_error(error, folder, names)
    if trace.exists():
        trace.rmdir() if trace.is_dir() else trace.unlink()
        return FAULT, "code in the file ran"
    return said


def _of_error(error, folder, names):
    text, kind = str(error), type(error).__name__
    if _memory(error):
        return FAULT, f"memory: {_place(error)}"
    if len(text) > LONGEST:
        return FAULT, f"a message of more than {LONGEST} characters: {kind} ({_place(error)})"
    if isinstance(error, InputError):
        named = any(name in text for name in names) or str(folder) in text
        return (REFUSED, "") if named and error.mend else (FAULT, f"InputError names no file or mend: {_cut(text)}")
    if kind == "Skip" and text:
        return REFUSED, ""
    if kind == "RuntimeError" and _raised_here(error):
        return REFUSED, ""
    return FAULT, f"{kind}: {_cut(text)} ({_place(error)})"


def _memory(error):
    """Whether memory ran out anywhere on the way to this error."""
    while error is not None:
        if isinstance(error, MemoryError) or re.search("allocate|bad_alloc|std::length_error", str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _raised_here(error):
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return frame.filename.startswith(str(PACKAGE)) and frame.line.startswith("raise")


def _place(error):
    """The innermost line of handlib, or of the target, that the error passed."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if frame.filename.startswith(str(PACKAGE))] or frames[-1:]
    return f"{Path(inside[-1].filename).name}:{inside[-1].lineno} {inside[-1].name}"


def _cut(text):
    """The first line, without what differs from mutant to mutant."""
    line = (text[:1000].strip().splitlines() or ["no message"])[0]
    return re.sub(r"\S*/\S+|0x[0-9a-f]+|-?\d[\d.e+-]*", "…", line)[:120]


class Fuzzer:
    """The mutants of one target: ``run(numbers)`` reads them in children, ``make(number)`` makes one."""

    def __init__(self, target, seed, scratch):
        self.target, self.seed = target, seed
        self.whole, self.folder = Path(scratch) / "whole", Path(scratch) / "mutant"
        self.whole.mkdir(parents=True)
        target.make(self.whole)
        shutil.copytree(self.whole, self.folder, symlinks=True)
        self.names = [path.name for path in self.whole.rglob("*")]
        said = verdict(target.read, self.folder, self.names)  # also imports all that the children will need
        if said[0] != RIGHT:
            raise SystemExit(f"{target.name}: its own files do not read right: {said[1]}")

    def make(self, number):
        """Write the mutant; the text that says what was done."""
        self.restore()
        draw = random.Random(f"{self.seed}/{self.target.name}/{number}")
        mutants = fuzz_mutants.Mutants(draw, f"{self.folder}.ran")
        return mutants.change(self.folder, self.target.files(self.folder))

    def restore(self):
        """The whole files again; what a reader left behind goes."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.whole, self.folder, symlinks=True)

    def run(self, numbers, report):
        """Read mutants in children and note what came of them."""
        began, numbers = time.monotonic(), list(numbers)
        while numbers:
            some = numbers[:BATCH]
            read = self._child(some)
            for number, (said, text) in read.items():
                report.add(number, said, text)
            numbers = numbers[len(read) :]
        report.seconds += time.monotonic() - began

    def _child(self, numbers):
        """{number: (verdict, text)} of as many as a child came through, a mutant that ended it included."""
        receive, send = os.pipe()
        log = Path(f"{self.folder}.log")
        child = os.fork()
        if not child:
            os.close(receive)
            self._read_all(numbers, send, log)  # does not return
        os.close(send)
        read, ended = {}, None
        with os.fdopen(receive, "rb") as answers:
            while ready := select.select([answers], [], [], WALL)[0]:
                line = answers.readline()
                if not line:
                    break
                said, text = line.decode().rstrip("\n").split(" ", 1)
                read[numbers[len(read)]] = said, text
            if not ready:
                os.kill(child, signal.SIGKILL)
                ended = f"hang: more than {WALL} s"
        _, status = os.waitpid(child, 0)
        if len(read) < len(numbers):
            read[numbers[len(read)]] = FAULT, ended or self._of_end(status, log)
        return read

    @staticmethod
    def _of_end(status, log):
        name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
        inside = rf'File "({re.escape(str(PACKAGE))}\S+)", line (\d+) in (\S+)'
        lines = re.findall(inside, log.read_text("utf-8", "replace"))
        place = f"{Path(lines[0][0]).name}:{lines[0][1]} {lines[0][2]}" if lines else "outside Python"
        return f"hang: more than {SECONDS} s ({place})" if name == "SIGPROF" else f"crash: {name} ({place})"

    def _read_all(self, numbers, send, log):
        """In the child: each mutant made, read, and answered by a line."""
        try:
            one_thread()
            with open(log, "w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
                faulthandler.enable(file)
                faulthandler.register(signal.SIGPROF, file, chain=True)  # then the default: the process ends
                hard = resource.getrlimit(resource.RLIMIT_AS)[1]
                limit = _address_space() + self.target.memory
                for number in numbers:
                    self.make(number)
                    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
                    signal.setitimer(signal.ITIMER_PROF, SECONDS)
                    said, text = verdict(self.target.read, self.folder, self.names)
                    signal.setitimer(signal.ITIMER_PROF, 0)
                    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
                    os.write(send, f"{said} {text}\n".encode(errors="replace"))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)


def _address_space():
    """Bytes of it that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def fuzz(target, seed=0, count=200, minutes=None, keep=None):
    """Read mutants 0 … count - 1 of a target, or as many as the minutes allow -> Report."""
    report, scratch = Report(target.name), tempfile.mkdtemp(prefix="fuzz-", dir=_scratch())
    try:
        fuzzer = Fuzzer(target, seed, scratch)
        end = time.monotonic() + 60 * minutes if minutes else None
        while time.monotonic() < end if end else report.mutants < count:
            stop = report.mutants + BATCH if end else min(report.mutants + BATCH, count)
            fuzzer.run(range(report.mutants, stop), report)
        if keep:
            _keep(fuzzer, report, Path(keep))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return report


def _scratch():
    """Memory rather than a disk, where there is some."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _keep(fuzzer, report, folder):
    for kind, numbers in report.faults.items():
        number = numbers[0]
        done = fuzzer.make(number)
        place = folder / report.target / str(number)
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(fuzzer.folder, place / "files", symlinks=True)
        again = f"python tools/fuzz.py {report.target} --seed {fuzzer.seed} --only {number}"
        (place / "fault.txt").write_text(f"{kind}\n{done}\n{again}\n{len(numbers)} such\n", encoding="utf-8")


def only(target, seed, number):
    """One mutant in this process, its error as it comes; the text of what was done to it."""
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_scratch()) as scratch:
        fuzzer = Fuzzer(target, seed, scratch)
        print(fuzzer.make(number))
        target.read(fuzzer.folder)


def targets(names=()):
    """The targets of those names, all where there are none, in the order of `MODULES`."""
    known = {}
    for module in MODULES:
        if not names or not known.keys() >= set(names):
            known |= {target.name: target for target in importlib.import_module(module).TARGETS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"no target is called {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names or known]


def table(reports):
    """Markdown, a row per target."""
    lines = ["| target | mutants | read right | refused | faults | seconds |", "|---|---:|---:|---:|---:|---:|"]
    for one in reports:
        faults = sum(map(len, one.faults.values()))
        lines.append(f"| {one.target} | {one.mutants} | {one.right} | {one.refused} | {faults} | {one.seconds:.0f} |")
    return "\n".join(lines)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--count", type=int, default=200, help="mutants of each target")
    parser.add_argument("--minutes", type=float, help="instead of --count: for all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", help="folder for the files of faults")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="one mutant, with its traceback")
    options = parser.parse_args(arguments)
    chosen, reports = targets(options.targets), []
    if options.only is not None:
        return only(chosen[0], options.seed, options.only)
    for target in chosen:
        minutes = options.minutes and options.minutes / len(chosen)
        reports.append(fuzz(target, options.seed, options.count, minutes, options.keep))
        print(table(reports[-1:]).splitlines()[-1], flush=True)
        for kind, numbers in reports[-1].faults.items():
            print(f"    {len(numbers)} x {kind}; the first is --only {numbers[0]}", flush=True)
    print(f"\n{table(reports)}\n\nseed {options.seed}, {sum(one.mutants for one in reports)} mutants")
    return int(any(one.faults for one in reports))


if __name__ == "__main__":
    import fuzz as module  # the targets import it by this name: one copy of the classes

    sys.exit(module.main())
