# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
"""What is compared with what: each case is one workload and those who run it in turn."""

import dataclasses

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
    for name, op, block in SHAPES:
        for depth in size.depths:
            # psync has one request in flight, whatever it is told.
            fio = [one for one in FIO if one != "fio-psync" or depth == 1]
            yield Case(f"warm/{name}/qd{depth}",
                       Workload(op, block, depth, seconds=size.seconds),
                       IMAGES + QEMU + fio)


def cold_cases(size):
    for name, op, block in SHAPES:
        if op.endswith("write"):
            continue
        for depth in size.depths:
            requests = min(size.image // block, size.cold_requests)
            yield Case(f"cold/{name}/qd{depth}",
                       Workload(op, block, depth, requests=requests, cold=True),
                       IMAGES + QEMU + FIO[:1])


def first_write_cases(size):
    empty = ["empty-raw", "empty-child", "empty-dynamic", "empty-qcow2", "empty-qcow2-child"]
    for name, op in (("rand", "randwrite"), ("seq", "seqwrite")):
        for depth in size.depths:
            yield Case(f"first/{name}-4k/qd{depth}",
                       Workload(op, 4 * KIB, depth, requests=size.image // (4 * KIB)), empty)


def flush_cases(size):
    for every in (1, 16, 256):
        requests = min(size.image // (4 * KIB), size.flushes * every)
        for depth in (1, 32):
            yield Case(f"flush/first-rand-4k/every{every}/qd{depth}",
                       Workload("randwrite", 4 * KIB, depth, requests=requests, flush_every=every),
                       ["empty-raw", "empty-child", "empty-qcow2-child"])
            yield Case(f"flush/randwrite-4k/every{every}/qd{depth}",
                       Workload("randwrite", 4 * KIB, depth, requests=requests, flush_every=every),
                       ["raw", "dynamic", "child", "qcow2"] +
                       [one for one in QEMU if "vpc" in one])


def chain_cases(size):
    for family in ("chain", "spread", "qcow2-chain", "qcow2-spread"):
        for depth in (1, 32):
            yield Case(f"depth/{family}/randread-4k/qd{depth}",
                       Workload("randread", 4 * KIB, depth, seconds=size.seconds),
                       [f"{family}-{layers}" for layers in size.layers])
    yield Case("depth/chain/seqread-1m/qd1", Workload("seqread", MIB, 1, seconds=size.seconds),
               [f"chain-{layers}" for layers in size.layers])
    for layers in size.layers:
        yield Case(f"depth/beside-qcow2/randread-4k/layers{layers}",
                   Workload("randread", 4 * KIB, 32, seconds=size.seconds),
                   [f"chain-{layers}", f"qcow2-chain-{layers}",
                    f"qemu-qcow2-chain-{layers}-io_uring", f"qemu-qcow2-chain-{layers}-threads"])


@dataclasses.dataclass
class Size:
    """How much is measured."""
    image: int          # bytes of an image
    chain: int          # bytes of each image of a chain
    layers: list        # numbers of layers
    depths: list        # requests in flight
    seconds: float      # of a run that is not counted in requests
    cold_requests: int  # of a cold run, at most
    flushes: int        # of a run with flushes, at most
    rounds: int


FULL = Size(256 * MIB, 64 * MIB, [1, 4, 16, 64, 256], [1, 8, 32], 1.0, 8192, 256, 5)
QUICK = Size(32 * MIB, 16 * MIB, [1, 16], [1, 32], 0.1, 512, 16, 3)


def all_cases(size):
    for make in (warm_cases, cold_cases, first_write_cases, flush_cases, chain_cases):
        yield from make(size)
