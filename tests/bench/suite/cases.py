# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
"""What is compared with what: each case is one workload and those who run it in turn."""

import dataclasses
import fnmatch

from suite.contenders import Workload

KIB, MIB = 1 << 10, 1 << 20


@dataclasses.dataclass
class Case:
    """contenders[0] is what the ratios are to."""
    name: str
    workload: Workload
    contenders: list


IMAGES = ["raw", "fixed", "dynamic", "child", "qcow2", "qcow2-child"]
QEMU = ["qemu-vpc-io_uring", "qemu-vpc-threads", "qemu-qcow2-io_uring", "qemu-qcow2-threads"]
FIO = ["fio-io_uring", "fio-psync"]

SHAPES = [
    ("randread-4k", "randread", 4 * KIB),
    ("randwrite-4k", "randwrite", 4 * KIB),
    ("seqread-64k", "seqread", 64 * KIB),
    ("seqwrite-64k", "seqwrite", 64 * KIB),
    ("seqread-1m", "seqread", MIB),
    ("seqwrite-1m", "seqwrite", MIB),
]


def warm_cases(size):
    for name, op, block in SHAPES[:size.shapes]:
        for depth in size.depths:
            yield Case(f"warm/{name}/qd{depth}",
                       Workload(op, block, depth, seconds=size.seconds), IMAGES + QEMU + FIO)


def cold_cases(size):
    for name, op, block in SHAPES[:size.shapes]:
        if op.endswith("write"):
            continue
        for depth in size.depths:
            requests = min(size.image // block, size.cold_requests)
            yield Case(f"cold/{name}/qd{depth}",
                       Workload(op, block, depth, requests=requests, cold=True),
                       IMAGES + QEMU + FIO)


def first_write_cases(size):
    empty = ["empty-raw", "empty-child", "empty-dynamic", "empty-qcow2", "empty-qcow2-child"]
    for name, op in (("rand", "randwrite"), ("seq", "seqwrite")):
        for depth in size.depths:
            yield Case(f"first/{name}-4k/qd{depth}",
                       Workload(op, 4 * KIB, depth, requests=size.image // (4 * KIB)), empty)


def flush_cases(size):
    for every in size.flush_every:
        requests = min(size.image // (4 * KIB), size.flushes * every)
        for depth in size.depths[::2]:
            yield Case(f"flush/first-rand-4k/every{every}/qd{depth}",
                       Workload("randwrite", 4 * KIB, depth, requests=requests, flush_every=every),
                       ["empty-raw", "empty-child", "empty-qcow2-child"])
            yield Case(f"flush/randwrite-4k/every{every}/qd{depth}",
                       Workload("randwrite", 4 * KIB, depth, requests=requests, flush_every=every),
                       ["raw", "dynamic", "child", "qcow2"] +
                       [one for one in QEMU if "vpc" in one])


def chain_cases(size):
    for family in ("chain", "spread", "qcow2-chain", "qcow2-spread"):
        for depth in size.depths[::2]:
            yield Case(f"depth/{family}/randread-4k/qd{depth}",
                       Workload("randread", 4 * KIB, depth, seconds=size.seconds),
                       [f"{family}-{layers}" for layers in size.layers])
        if family == "chain":
            yield Case("depth/chain/seqread-1m/qd1",
                       Workload("seqread", MIB, 1, seconds=size.seconds),
                       [f"chain-{layers}" for layers in size.layers])
    for layers in size.layers:
        yield Case(f"depth/beside-qcow2/randread-4k/layers{layers}",
                   Workload("randread", 4 * KIB, size.depths[-1], seconds=size.seconds),
                   [f"chain-{layers}", f"qcow2-chain-{layers}",
                    f"qemu-qcow2-chain-{layers}-io_uring", f"qemu-qcow2-chain-{layers}-threads"])


@dataclasses.dataclass
class Size:
    """How much is measured."""
    image: int          # bytes of an image
    chain: int          # bytes of each image of a chain
    shapes: int         # how many of SHAPES
    layers: list        # numbers of layers
    depths: list        # requests in flight; of three, first and last where it matters less
    flush_every: list
    seconds: float      # of a run that is not counted in requests
    cold_requests: int  # of a cold run, at most
    flushes: int        # of a run with flushes, at most
    rounds: int
    without: tuple      # patterns of names that take no part


FULL = Size(image=256 * MIB, chain=64 * MIB, shapes=len(SHAPES), layers=[1, 4, 16, 64, 256],
            depths=[1, 8, 32], flush_every=[1, 16, 256], seconds=1.0, cold_requests=8192,
            flushes=256, rounds=5, without=())
QUICK = Size(image=16 * MIB, chain=8 * MIB, shapes=2, layers=[1, 8], depths=[32],
             flush_every=[16], seconds=0.05, cold_requests=256, flushes=16, rounds=3,
             without=("fixed", "qcow2-child", "qcow2-spread-*", "empty-dynamic", "empty-qcow2",
                      "qemu-*-threads", "fio-psync"))


def all_cases(size):
    for make in (warm_cases, cold_cases, first_write_cases, flush_cases, chain_cases):
        for case in make(size):
            case.contenders = [one for one in case.contenders if not any(
                fnmatch.fnmatchcase(one, pattern) for pattern in size.without)]
            if case.contenders:
                yield case
