# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
"""What is about size: opening long chains of large images, memory of a LUN, many LUNs at once."""

import json
import os
import statistics
import struct
import time

from suite import tools

MIB, GIB = 1 << 20, 1 << 30
BLOCK, SECTOR, PAGE = 2 * MIB, 512, 4096


class Table:
    """Where an image's BAT is."""

    def __init__(self, path):
        with open(path, "rb") as file:
            header_at, = struct.unpack(">Q", file.read(SECTOR)[16:24])
            file.seek(header_at)
            header = file.read(1024)
        self.path = path
        self.offset, = struct.unpack(">Q", header[16:24])
        self.entries, = struct.unpack(">I", header[28:32])
        self.bytes = self.entries * 4


def plant_blocks(path, first, step):
    """
    Gives an empty image every step-th block, beginning with the first, as an image that was long
    in use has them: without a byte of data, so that a large one takes no space.
    """
    table = Table(path)
    with open(path, "r+b") as file:
        file.seek(-SECTOR, os.SEEK_END)
        footer_at = file.tell()
        footer = file.read(SECTOR)
        entries = bytearray(b"\xff" * table.bytes)
        # The bitmap ends where a page begins, as in images that we make.
        at = (footer_at + SECTOR + PAGE - 1) // PAGE * PAGE + PAGE - SECTOR
        for entry in range(first, table.entries, step):
            struct.pack_into(">I", entries, entry * 4, at // SECTOR)
            at += BLOCK + PAGE
        file.seek(footer_at)
        file.write(bytes(SECTOR))
        file.seek(table.offset)
        file.write(entries)
        file.truncate(at)
        file.seek(at)
        file.write(footer)
    return table


class LongChain:
    """32 images of 2040 GiB, 1 % of each allocated."""

    def __init__(self, programs, folder, layers, size):
        self.tables = []
        parent = None
        for layer in range(layers):
            path = os.path.join(folder, f"large.{layer}.vhd")
            if parent:
                tools.run([programs.vhdctl, "snapshot", parent, path])
            else:
                tools.run([programs.vhdctl, "create", "--size", str(size), path])
            self.tables.append(plant_blocks(path, layer * 3 % 100, 100))
            parent = path
        tools.sync([table.path for table in self.tables])
        self.path = parent

    @property
    def bytes(self):
        return sum(table.bytes for table in self.tables)

    def read_tables(self, keep):
        """Seconds of reading all BATs: into memory of their own, or each over the one before."""
        room = bytearray(self.bytes if keep else max(table.bytes for table in self.tables))
        at = 0
        started = time.monotonic()
        for table in self.tables:
            fd = os.open(table.path, os.O_RDONLY)
            try:
                os.preadv(fd, [memoryview(room)[at:at + table.bytes]], table.offset)
            finally:
                os.close(fd)
            at += table.bytes if keep else 0
        return time.monotonic() - started

    def remove(self):
        for table in self.tables:
            os.unlink(table.path)


def drive(programs, configs, *options):
    command = [programs.driver, "--handler", programs.vhd]
    for config in configs:
        command += ["--config", config]
    return json.loads(tools.run(command + list(options)))


def open_long_chain(layers, size, rounds):
    def measure(programs, store, _who):
        chain = LongChain(programs, store.folder, layers, size)
        ratios, kept_ratios, opens, memory, used = [], [], [], [], []
        for _ in range(rounds):
            tables_s, kept_s = chain.read_tables(False), chain.read_tables(True)
            # All blocks in random order: what of their bitmaps is kept counts, too.
            said = drive(programs, [f"vhd/{chain.path}"], "--op", "randread", "--depth", "32",
                         "--stride", str(BLOCK // PAGE), "--requests", "20000")
            opens.append(said["open_first_s"])
            ratios.append(said["open_first_s"] / tables_s)
            kept_ratios.append(said["open_first_s"] / kept_s)
            memory.append(said["first_kib"] - said["none_kib"] - chain.bytes // 1024)
            used.append(said["end_kib"] - said["none_kib"] - chain.bytes // 1024)
        chain.remove()
        return {"vhd": {"open_s": statistics.median(opens),
                        "open_by_pread": statistics.median(ratios),
                        "open_by_pread_kept": statistics.median(kept_ratios),
                        "bats_kib": chain.bytes // 1024,
                        "over_bats_kib": statistics.median(memory),
                        "over_bats_in_use_kib": statistics.median(used)}}
    return measure


class Classroom:
    """Children of one golden image."""

    def __init__(self, programs, folder, children):
        self.golden = os.path.join(folder, "golden.vhd")
        self.children = [os.path.join(folder, f"desk{number}.vhd") for number in range(children)]
        tools.run([programs.vhdctl, "create", "--size", str(127 * GIB), self.golden])
        drive(programs, [f"vhd/{self.golden}"], "--op", "seqwrite", "--block", str(MIB),
              "--area", str(64 * MIB))
        for child in self.children:
            tools.run([programs.vhdctl, "snapshot", self.golden, child])

    def drive(self, programs, *options):
        return drive(programs, [f"vhd/{child}" for child in self.children],
                     "--count-open", self.golden, "--area", str(64 * MIB), *options)

    def remove(self):
        for path in [self.golden] + self.children:
            os.unlink(path)


def many_luns(children, seconds):
    def measure(programs, store, _who):
        room = Classroom(programs, store.folder, children)
        said = {}
        loads = {
            "reads": ["--op", "randread", "--depth", "4", "--seconds", str(seconds)],
            "writes": ["--op", "randwrite", "--depth", "4", "--seconds", str(seconds),
                       "--flush-every", "16"],
        }
        for name, load in loads.items():
            luns = room.drive(programs, *load)
            said[name] = {
                "iops": luns["iops"],
                "lun_kib": (luns["all_kib"] - luns["first_kib"]) / (children - 1),
                "lun_in_use_kib": (luns["end_kib"] - luns["first_kib"]) / (children - 1),
                "open_lun_ms": (luns["open_all_s"] - luns["open_first_s"]) /
                               (children - 1) * 1000,
                "golden_open": luns["open_files"],
                # The slowest beside the mean: 0 would have starved.
                "slowest": luns["lun_iops_min"] * children / luns["iops"],
            }
        room.remove()
        return said
    return measure


def all_cases(quick):
    """(name, function) of each."""
    if quick:
        yield "scale/open-chain8", open_long_chain(8, 255 * GIB, 3)
        yield "scale/luns8", many_luns(8, 0.2)
    else:
        yield "scale/open-chain32", open_long_chain(32, 2040 * GIB, 5)
        yield "scale/luns256", many_luns(256, 3)
