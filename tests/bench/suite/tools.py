# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
"""Where the programs are, and how one is run."""

import glob
import os
import shutil
import subprocess


class Failed(Exception):
    """Something could not be measured; the text is for the user."""


class Tools:
    """The programs of a build tree and those of the system; None where one is missing."""

    def __init__(self, build):
        self.vhdctl = self._built(build, "cli/vhdctl")
        self.driver = self._built(build, "tests/bench/bench-driver")
        self.vhd = self._built(build, "handler/handler_vhd.so")
        self.raw = self._built(build, "tests/bench/handler_raw.so")
        self.qcow = next(iter(sorted(glob.glob("/usr/lib*/*/tcmu-runner/handler_qcow.so") +
                                     glob.glob("/usr/lib*/tcmu-runner/handler_qcow.so"))), None)
        self.qemu_img = shutil.which("qemu-img")
        self.fio = shutil.which("fio")
        self.strace = shutil.which("strace")
        self.valgrind = shutil.which("valgrind")
        self.gnuplot = shutil.which("gnuplot")

    @staticmethod
    def _built(build, path):
        full = os.path.join(build, path)
        if not os.path.exists(full):
            raise Failed(f"{full} is missing: build first "
                         "(cmake --preset release && cmake --build --preset release)")
        return full


def _done(command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: exit status {done.returncode}: {done.stderr.strip()}")
    return done


def run(command, **options):
    """The program's standard output; Failed with its standard error."""
    return _done(command, **options).stdout


def run_for_errors(command):
    """What it says on standard error, although all went well."""
    return _done(command).stderr


def drop(paths):
    """Takes files out of the page cache.  Only clean pages go, so they are written first."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


def sync(paths):
    """So that what one run left to write does not burden the next."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)
