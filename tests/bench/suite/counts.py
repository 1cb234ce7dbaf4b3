# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
"""
What a request costs that no load of the machine changes: instructions, system calls, calls for
memory, barriers a flush.  Each is the difference of a long run and a short one, so that start and
end of the process are not in it.
"""

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
SHORT, LONG = 256, 2304


def _strace(programs, command):
    """Calls by name, and what the driver said."""
    with tempfile.NamedTemporaryFile(mode="r", encoding="utf-8") as file:
        said = json.loads(tools.run([programs.strace, "-f", "-c", "-o", file.name] + command))
        calls = {}
        for line in file.read().splitlines():
            words = line.split()
            if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
                calls[words[-1]] = int(words[3])
    return calls, said


def _calls(programs, commands):
    """Differences by name, and of requests and flushes."""
    (few, start), (many, end) = [_strace(programs, command) for command in commands()]
    calls = {name: count - few.get(name, 0) for name, count in many.items()}
    return calls, end["requests"] - start["requests"], end["flushes"] - start["flushes"]


def _allocations(commands):
    counts = []
    for command in commands():
        said = json.loads(tools.run(command, env={**os.environ, "G_SLICE": "always-malloc"}))
        if "allocations" not in said:
            return None
        counts.append((said["allocations"], said["requests"]))
    return (counts[1][0] - counts[0][0]) / (counts[1][1] - counts[0][1])


def _instructions(programs, commands):
    counts = []
    for command in commands():
        done = tools.run_for_errors([programs.valgrind, "--tool=callgrind",
                                     "--callgrind-out-file=/dev/null"] + command)
        counts.append(int(re.search(r"Collected : (\d+)", done).group(1)))
    return (counts[1] - counts[0]) / (LONG - SHORT)


def _count(programs, handler, workload):
    def commands():
        for requests in (SHORT, LONG):
            workload.requests = requests
            yield handler.command(workload, handler.images.get(handler.image))

    said = {}
    if programs.strace:
        calls, requests, flushes = _calls(programs, commands)
        said["system_calls"] = sum(calls.values()) / requests
        said["data_calls"] = sum(calls.get(name, 0) for name in DATA_CALLS) / requests
        if flushes:
            said["barriers_a_flush"] = sum(calls.get(name, 0) for name in BARRIERS) / flushes
        said["by_name"] = {name: count / requests for name, count in calls.items()
                           if count * 100 > requests}
    allocations = _allocations(commands)
    if allocations is not None:
        said["allocations"] = allocations
    if programs.valgrind and not workload.flush_every:
        said["instructions"] = _instructions(programs, commands)
    return said


def _measure(names, make):
    """A function of (programs, store, who): the counts of each contender."""
    def measure(programs, store, who):
        said = {}
        for name in names:
            handler = contenders.Handler(programs, store, name)
            if not handler.available() or (
                    who and not any(fnmatch.fnmatchcase(name, one) for one in who)):
                continue
            try:
                said[name] = _count(programs, handler, make())
            except tools.Failed as why:
                said[name] = {"failed": str(why)}
        return said
    return measure


def all_cases(quick):
    """(name, function) of each."""
    mib = 1 << 20
    images = ["raw", "fixed", "dynamic", "child", "qcow2"]
    chains = [] if quick else ["chain-64", "spread-64"]
    empty = ["empty-raw", "empty-child", "empty-qcow2-child"]
    for depth in (1, 32):
        yield f"count/randread-4k/qd{depth}", _measure(
            images + ["chain-16"] + chains, lambda depth=depth: Workload("randread", 4096, depth))
        yield f"count/randwrite-4k/qd{depth}", _measure(
            images, lambda depth=depth: Workload("randwrite", 4096, depth))
    yield "count/seqread-1m/qd1", _measure(images, lambda: Workload("seqread", mib, 1))
    yield "count/zeros-4k/qd1", _measure(
        ["empty-dynamic", "empty-qcow2"], lambda: Workload("randread", 4096, 1))
    yield "count/first-rand-4k/qd1", _measure(empty, lambda: Workload("randwrite", 4096, 1))
    yield "count/flush-first-rand-4k/every16", _measure(
        empty, lambda: Workload("randwrite", 4096, 1, flush_every=16))
    yield "count/flush-randwrite-4k/every16", _measure(
        ["raw", "fixed", "dynamic", "child", "qcow2"],
        lambda: Workload("randwrite", 4096, 1, flush_every=16))
