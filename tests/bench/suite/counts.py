# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
"""
What a request costs that no load of the machine changes: instructions, system calls, calls for
memory, barriers a flush.  Start and end of the process are not in it: of instructions it is the
difference of a long run and a short one, the others are counted in the measured part only.
"""

import collections
import fnmatch
import json
import os
import re
import tempfile

from suite import contenders, tools
from suite.contenders import Workload

DATA_CALLS = {"pread64", "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2",
              "io_uring_enter"}
BARRIERS = {"fsync", "fdatasync", "syncfs", "sync_file_range"}
SHORT, LONG = 256, 1280  # requests
AREA = 8 << 20  # bytes


def _lengths(workload, image):
    """Fewer large ones; no block twice where the first touch of one counts."""
    if workload.touch:
        blocks = image.size // workload.block // workload.stride
        return blocks // 4, blocks
    divisor = 1 if workload.block < 65536 else 8
    return SHORT // divisor, LONG // divisor


def _calls(programs, command):
    """System calls by name of the measured part, and what the driver said."""
    with tempfile.NamedTemporaryFile(mode="r", encoding="utf-8", errors="replace") as file:
        said = json.loads(tools.run([programs.strace, "-f", "-s", "0", "-o", file.name] + command))
        names = re.findall(r"^\d+ +(\w+)\(", file.read(), re.MULTILINE)
    # It looks at its own cost right before and after that.
    marks = [index for index, name in enumerate(names) if name == "getrusage"]
    return collections.Counter(names[marks[-2] + 1:marks[-1]]), said


def _allocations(command):
    said = json.loads(tools.run(command, env={**os.environ, "G_SLICE": "always-malloc"}))
    return said["allocations"] / said["requests"] if "allocations" in said else None


def _instructions(programs, commands):
    counts = []
    for command in commands():
        requests = int(command[command.index("--requests") + 1])
        done = tools.run_for_errors([programs.valgrind, "--tool=callgrind",
                                     "--callgrind-out-file=/dev/null"] + command)
        counts.append((int(re.search(r"Collected : (\d+)", done).group(1)), requests))
    return (counts[1][0] - counts[0][0]) / (counts[1][1] - counts[0][1])


def _count(programs, handler, workload, quick):
    def commands():
        for which in (0, 1):
            image = handler.images.get(handler.image)
            workload.requests = _lengths(workload, image)[which]
            yield handler.command(workload, image)

    said = {}
    # Each run reads it first, and what is traced is slow.
    workload.area = 0 if workload.touch else min(AREA, handler.images.get(handler.image).size)
    handler.warm(workload)
    *_, command = commands()
    if programs.strace:
        calls, end = _calls(programs, command)
        requests, flushes = end["requests"], end["flushes"]
        said["system_calls"] = sum(calls.values()) / requests
        said["data_calls"] = sum(calls.get(name, 0) for name in DATA_CALLS) / requests
        if flushes:
            said["barriers_a_flush"] = sum(calls.get(name, 0) for name in BARRIERS) / flushes
        said["by_name"] = {name: count / requests for name, count in calls.items()
                           if count * 100 > requests}
    allocations = _allocations(command)
    if allocations is not None:
        said["allocations"] = allocations
    timeless = not workload.flush_every and not workload.touch
    if programs.valgrind and timeless and not quick:
        said["instructions"] = _instructions(programs, commands)
    return said


def _measure(names, quick, make):
    """A function of (programs, store, who): the counts of each contender."""
    def measure(programs, store, who):
        said = {}
        for name in names:
            handler = contenders.Handler(programs, store, name)
            if not handler.available() or (
                    who and not any(fnmatch.fnmatchcase(name, one) for one in who)):
                continue
            try:
                said[name] = _count(programs, handler, make(), quick)
            except tools.Failed as why:
                said[name] = {"failed": str(why)}
        return said
    return measure


def all_cases(quick):
    """(name, function) of each."""
    def case(name, names, op, block=4096, depth=1, **more):
        return f"count/{name}", _measure(names, quick, lambda: Workload(op, block, depth, **more))

    images = ["raw", "dynamic", "child"] + ([] if quick else ["fixed", "qcow2"])
    chains = ["chain-8"] if quick else ["chain-16", "chain-64", "spread-64"]
    empty = ["empty-child"] + ([] if quick else ["empty-raw", "empty-qcow2-child"])
    for depth in (1, 32):
        yield case(f"randread-4k/qd{depth}", images + chains, "randread", depth=depth)
        yield case(f"randwrite-4k/qd{depth}", images, "randwrite", depth=depth)
    yield case("seqread-1m/qd1", images, "seqread", 1 << 20)
    # One request in each block of 2 MiB.
    touched = ["dynamic", "child", "chain-8", "spread-8"]
    yield case("first-touch-4k/qd1", touched, "randread", touch=True, stride=512)
    yield case("zeros-4k/qd1", ["empty-dynamic", "empty-qcow2"], "randread")
    yield case("first-rand-4k/qd1", empty, "randwrite")
    yield case("flush-first-rand-4k/every16", empty, "randwrite", flush_every=16)
    yield case("flush-randwrite-4k/every16", images, "randwrite", flush_every=16)
