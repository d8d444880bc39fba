"""What a pickle's operations would have Python do, looked at before any is done: memory claimed, nests too deep.

The unpickler believes what it is told: nine bytes claim a memo of 32 GB, and a dict's key of tuples nested 150,000 deep
overruns the C stack and ends the process. Here the stream is walked once and nothing is built.
"""

import pickletools

DEEPEST = 10_000  # tuples in tuples; hashing 100,000 still fits on the C stack
_STOP = ord(".")


def require_bounded(data, start=0):
    """Where the pickle that begins at ``start`` of ``data`` (bytes) ends.

    ValueError where it claims more than it has: a string longer than the rest of the file, a place in the memo beyond
    the number of its bytes, or tuples nested deeper than `DEEPEST`; and where it does not end.
    """
    at, tuples, size, short = start, 0, len(data), _SHORT
    while at < size:
        code = data[at]
        if length := short[code]:
            at += length
        elif code == _STOP:
            break
        elif code in _TUPLES:
            tuples += 1
            at += 1
        else:
            at = _long(data, at, code)
    else:
        raise ValueError("it does not end")
    if tuples > DEEPEST:
        _require_shallow(data, start)
    return at + 1


def _long(data, at, code):
    """Where the operation at ``at`` ends: one whose length depends on the file, or that names a place in the memo."""
    if code not in _STEPS:
        raise ValueError(f"there is no operation {code:#x}")
    fixed, count, lines = _STEPS[code]
    end = at + 1 + fixed
    if count:
        end += count + int.from_bytes(data[end : end + count], "little")
    for _ in range(lines):
        end = data.find(b"\n", end) + 1
        if not end:
            raise ValueError("a line does not end")
    if end > len(data):
        raise ValueError(f"an operation claims {end - at} bytes of {len(data) - at}")
    if code in _PUTS and _place(data, at, end, code) > len(data):
        raise ValueError(f"place {_place(data, at, end, code)} of the memo is named")
    return end


def _place(data, at, end, code):
    """The place in the memo that a put or get names."""
    if _STEPS[code][2]:
        return int(data[at + 1 : end - 1])
    return int.from_bytes(data[at + 1 : end], "little")


def _require_shallow(data, at):
    """ValueError for tuples nested too deep: the stack is followed, each value known by its depth alone."""
    stack, marks, memo = [], [], {}
    while data[at] != _STOP:
        code = data[at]
        end = at + _SHORT[code] if _SHORT[code] else at + 1 if code in _TUPLES else _long(data, at, code)
        name, taken, to_mark, left = _EFFECTS[code]
        if name == "MARK":
            marks.append(len(stack))
        elif name.endswith("GET"):
            stack.append(memo.get(_place(data, at, end, code), 0))
        elif name.endswith("PUT") or name == "MEMOIZE":
            memo[len(memo) if name == "MEMOIZE" else _place(data, at, end, code)] = stack[-1]
        elif name == "POP" and marks and marks[-1] == len(stack):
            marks.pop()
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            keep = (marks.pop() if to_mark else len(stack)) - taken
            if keep < 0:
                raise ValueError("an operation finds nothing to work on")
            depth = max(stack[keep:], default=0) + (code in _TUPLES) if name in _KEEPING else 0
            if depth > DEEPEST:
                raise ValueError(f"tuples are nested deeper than {DEEPEST}")
            stack[keep:] = [depth] * left
        at = end


# Of an operation's result: as deep as the deepest of what it took (a list stops the hash, so it counts as flat).
_KEEPING = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST", "BUILD")
_STEPS, _EFFECTS = {}, {}
for _one in pickletools.opcodes:
    _length, _code = _one.arg.n if _one.arg else 0, ord(_one.code)
    _counted = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT8U: 8}.get(_length, 4)
    _lines = 2 if _one.name in ("GLOBAL", "INST") else 1
    _STEPS[_code] = (
        max(_length, 0),
        _counted if _length < pickletools.UP_TO_NEWLINE else 0,
        _lines if _length == pickletools.UP_TO_NEWLINE else 0,
    )
    _before = [kind.name for kind in _one.stack_before]
    _EFFECTS[_code] = (
        _one.name,
        len([kind for kind in _before if kind not in ("mark", "stackslice")]) - (_one.name == "OBJ"),
        "mark" in _before,
        len(_one.stack_after),
    )
_TUPLES = frozenset(code for code, effect in _EFFECTS.items() if effect[0].startswith("TUPLE"))
_PUTS = frozenset(code for code, effect in _EFFECTS.items() if effect[0] in ("PUT", "LONG_BINPUT"))
_SHORT = [
    1 + _STEPS[code][0] if code in _STEPS and not any(_STEPS[code][1:]) and code not in _PUTS | _TUPLES | {_STOP} else 0
    for code in range(256)
]
