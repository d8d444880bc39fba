"""Write requirements.lock and environment.yml from the packages of the running environment.

Run it in a fresh virtual environment that holds only ``pip install torch==… -e .[dev,cluster]``:
``.venv/bin/python tools/lock.py``.
"""

import importlib.metadata
import platform
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = {"handlib", "pip", "wheel"}
HEADER = "# Every package that handlib runs with, dev and cluster extras included. Written by tools/lock.py.\n"


def pins():
    """``name==version`` lines, sorted, without local build tags such as +cpu."""
    found = {}
    for distribution in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
        if name not in LEFT_OUT:
            found[name] = distribution.version.split("+")[0]
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def environment(lines, python):
    """The text of environment.yml: conda gives Python, pip gives the very pins of the lock."""
    head = ["name: handlib", "channels: [conda-forge]", "dependencies:", f"  - python={python}", "  - pip", "  - pip:"]
    return "\n".join(head + [f"      - {line}" for line in lines]) + "\n"


if __name__ == "__main__":
    lines = pins()
    (ROOT / "requirements.lock").write_text(HEADER + "\n".join(lines) + "\n")
    (ROOT / "environment.yml").write_text(HEADER + environment(lines, ".".join(platform.python_version_tuple()[:2])))
    print(f"{len(lines)} pins")
