# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
"""A file system of one's own in memory, where the disk is busy with others' work."""

import contextlib
import os
import tempfile

from suite import tools

SIZE = 12 << 30  # bytes, taken only as they are written


@contextlib.contextmanager
def mounted():
    """The folder; needs root, a loop device and room in /dev/shm.  Its journal is nobody else's: a
    write there waits for no commit that others have asked for."""
    with tempfile.TemporaryDirectory(prefix="vhd-bench.", dir="/dev/shm") as folder:
        disk, point = os.path.join(folder, "disk"), os.path.join(folder, "mnt")
        with open(disk, "wb") as file:
            file.truncate(SIZE)
        tools.run(["mkfs.ext4", "-q", "-F", disk])
        os.mkdir(point)
        tools.run(["mount", "-o", "loop,noatime", disk, point])
        try:
            yield point
        finally:
            tools.run(["umount", point])
