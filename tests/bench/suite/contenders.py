# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
"""Who is measured: a program, an image, and how one runs a workload on the other."""

import dataclasses
import json
import re

from suite import tools


@dataclasses.dataclass
class Workload:
    """
    op: randread, randwrite, seqread or seqwrite.  The run ends after `requests`, or after
    `seconds` where that is 0.  cold: nothing of the image is in the page cache when it begins,
    else all of it is.  flush_every: writes between two flushes, 0 for none.
    """
    op: str
    block: int
    depth: int
    seconds: float = 0
    requests: int = 0
    cold: bool = False
    touch: bool = False
    stride: int = 0
    area: int = 0
    flush_every: int = 0

    @property
    def writes(self):
        return self.op.endswith("write")

    @property
    def random(self):
        return self.op.startswith("rand")


class Contender:
    """What all have: an image."""

    def __init__(self, programs, images, image):
        self.programs = programs
        self.images = images
        self.image = image

    @staticmethod
    def can(_workload):
        """Whether it knows such workloads."""
        return True

    def warm(self, workload):
        """
        Reads the image into the page cache, in the order and pieces of the workload.  A 4 KiB write
        to a page that the kernel keeps in a piece of a megabyte, because it was read so, costs ten
        times one to a small piece: whoever shares an image, and whatever ran before, it is small.
        """
        if workload.cold or self.image.startswith("empty-"):
            return
        image = self.images.get(self.image)
        tools.drop(image.files)
        reads = Workload("randread" if workload.random else "seqread", workload.block, 1,
                         requests=1, area=workload.area)
        tools.run(Handler(self.programs, self.images, self.image).command(reads, image))


class Handler(Contender):
    """A handler of tcmu-runner, in the bench's own host."""

    def available(self):
        return not self.image.startswith(("qcow2", "empty-qcow2")) or (
            self.programs.qcow and self.programs.qemu_img)

    def command(self, workload, image):
        handler = {"vhd": self.programs.vhd, "qcow2": self.programs.qcow,
                   "raw": self.programs.raw}[image.kind]
        subtype = {"qcow2": "qcow"}.get(image.kind, image.kind)
        command = [self.programs.driver, "--handler", handler, "--config",
                   f"{subtype}/{image.path}", "--size", str(image.size), "--op", workload.op,
                   "--block", str(workload.block), "--depth", str(workload.depth),
                   "--area", str(workload.area or image.size),
                   "--stride", str(workload.stride),
                   "--flush-every", str(workload.flush_every)]
        if workload.requests:
            command += ["--requests", str(workload.requests)]
        else:
            command += ["--seconds", str(workload.seconds)]
        if workload.cold:
            for path in image.files:
                command += ["--drop", path]
        elif not workload.touch and not self.image.startswith("empty-"):
            command.append("--warm")
        return command

    def run(self, workload):
        image = self.images.get(self.image)
        said = json.loads(tools.run(self.command(workload, image)))
        if workload.writes:
            tools.sync(image.files[:1])
        return {
            "iops": said["iops"],
            "mb_s": said["mb_s"],
            "cpu_us": (said["user_s"] + said["system_s"]) / said["requests"] * 1e6,
        }


class QemuImg(Contender):
    """qemu-img bench.  It knows one step from a request to the next: a wide one stands for random
    places, since each of these images is in the page cache or is not."""

    WIDE = 40507  # blocks; a prime

    def __init__(self, programs, images, image, aio):
        super().__init__(programs, images, image)
        self.aio = aio

    def available(self):
        return self.programs.qemu_img

    @staticmethod
    def can(workload):
        """It refuses to flush more often than this."""
        return not workload.flush_every or workload.flush_every >= workload.depth

    def run(self, workload):
        image = self.images.get(self.image)
        step = workload.block * (self.WIDE if workload.random else 1)
        count = workload.requests or self._count(workload)
        if workload.cold:
            tools.drop(image.files)
        command = [self.programs.qemu_img, "bench", "-t", "writeback", "-i", self.aio,
                   "-f", {"vhd": "vpc", "qcow2": "qcow2"}[image.kind],
                   "-c", str(count), "-d", str(workload.depth), "-s", str(workload.block),
                   "-S", str(step)]
        if workload.writes:
            command.append("-w")
        if workload.flush_every:
            command += ["--flush-interval", str(workload.flush_every)]
        seconds = float(re.search(r"completed in ([\d.]+) seconds",
                                  tools.run(command + [image.path])).group(1))
        if workload.writes:
            tools.sync(image.files[:1])
        iops = count / max(seconds, 1e-3)
        return {"iops": iops, "mb_s": iops * workload.block / 1e6}

    @staticmethod
    def _count(workload):
        """It takes a number, not a time: roughly what fits."""
        rate = {4096: 60000, 65536: 30000}.get(workload.block, 3000)
        return max(64, int(workload.seconds * (rate / 3 if workload.depth == 1 else rate)))


class Fio(Contender):
    """fio on the raw file, without any handler."""

    def __init__(self, programs, images, engine):
        super().__init__(programs, images, "raw")
        self.engine = engine

    def available(self):
        return self.programs.fio

    def can(self, workload):
        """psync has one request in flight, whatever it is told."""
        return self.engine != "psync" or workload.depth == 1

    def run(self, workload):
        image = self.images.get("raw")
        rw = {"randread": "randread", "randwrite": "randwrite", "seqread": "read",
              "seqwrite": "write"}[workload.op]
        if workload.cold:
            tools.drop(image.files)
        command = [self.programs.fio, "--name=x", f"--filename={image.path}", f"--rw={rw}",
                   f"--bs={workload.block}", f"--iodepth={workload.depth}",
                   f"--ioengine={self.engine}", "--direct=0", "--invalidate=0", "--thread",
                   f"--size={image.size}", "--output-format=json", "--gtod_reduce=1"]
        if workload.requests:
            command.append(f"--io_size={workload.requests * workload.block}")
        else:
            command += ["--time_based", f"--runtime={workload.seconds * 1000:.0f}ms"]
        if workload.flush_every:
            command.append(f"--fdatasync={workload.flush_every}")
        said = json.loads(tools.run(command))["jobs"][0]["write" if workload.writes else "read"]
        if workload.writes:
            tools.sync(image.files)
        return {"iops": said["iops"], "mb_s": said["bw_bytes"] / 1e6}


BESIDE = "@beside"


def lineup(programs, beside, images, depths):
    """All who may take part, by name.  beside: None, or the programs of another build, whose
    handler serves the same images under the same names with BESIDE behind them."""
    handlers = ["raw", "fixed", "dynamic", "child", "qcow2", "qcow2-child", "empty-raw",
                "empty-child", "empty-dynamic", "empty-qcow2", "empty-qcow2-child"]
    handlers += [f"{family}-{depth}" for depth in depths
                 for family in ("chain", "spread", "qcow2-chain", "qcow2-spread")]
    every = {name: Handler(programs, images, name) for name in handlers}
    if beside:
        every |= {name + BESIDE: Handler(beside, images, name) for name in handlers
                  if "qcow2" not in name and "raw" not in name}
    for aio in ("io_uring", "threads"):
        every[f"qemu-vpc-{aio}"] = QemuImg(programs, images, "dynamic", aio)
        every[f"qemu-qcow2-{aio}"] = QemuImg(programs, images, "qcow2", aio)
        for depth in depths:
            every[f"qemu-qcow2-chain-{depth}-{aio}"] = QemuImg(
                programs, images, f"qcow2-chain-{depth}", aio)
    every["fio-io_uring"] = Fio(programs, images, "io_uring")
    every["fio-psync"] = Fio(programs, images, "psync")
    return {name: who for name, who in every.items() if who.available()}
