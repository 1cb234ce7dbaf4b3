# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
"""The images that are measured, made when first asked for."""

import dataclasses
import os

from suite import tools

MIB = 1 << 20


@dataclasses.dataclass
class Image:
    """kind: what handler or program serves it; files: all it consists of."""
    kind: str
    path: str
    files: list
    size: int


class Images:
    """
    Every image holds the same random bytes, size of them, unless its name says otherwise:

      raw, fixed, dynamic, qcow2
      child, qcow2-child                 all sectors in the child, over a full parent
      empty-raw, empty-child, empty-qcow2, empty-qcow2-child    nothing in it; made anew each time
      chain-N, qcow2-chain-N             N layers, all sectors in the root
      spread-N, qcow2-spread-N           N layers, each with its share of every block

    Each leaves the page cache when it is made (see Contender.warm).
    """

    def __init__(self, programs, folder, size, chain_size):
        self.programs = programs
        self.folder = folder
        self.size = size
        self.chain_size = chain_size
        self.made = {}

    def get(self, name):
        if name.startswith("empty-"):
            return self._make(name)
        if name not in self.made:
            self.made[name] = self._make(name)
        return self.made[name]

    def forget(self, name):
        """Removes an image that nothing else stands on."""
        image = self.made.pop(name, None)
        if image:
            for path in image.files:
                os.unlink(path)

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _make(self, name):
        family, _, count = name.rpartition("-")
        if family in ("chain", "spread"):
            return self._vhd_chain(name, int(count), family == "spread")
        if family in ("qcow2-chain", "qcow2-spread"):
            return self._qcow2_chain(name, int(count), family == "qcow2-spread")
        return getattr(self, "_make_" + name.replace("-", "_"))()

    # ---- flat ones ----

    def _random_file(self, path, size):
        with open(path, "wb") as file:
            for _ in range(size // MIB):
                file.write(os.urandom(MIB))
        tools.drop([path])

    def _make_raw(self):
        path = self._path("raw.img")
        self._random_file(path, self.size)
        return Image("raw", path, [path], self.size)

    def _converted(self, output):
        path = self._path(output + ".vhd")
        tools.run([self.programs.vhdctl, "convert", "-f", "raw", "-O", output,
                   self.get("raw").path, path])
        tools.drop([path])
        return Image("vhd", path, [path], self.size)

    def _make_fixed(self):
        return self._converted("fixed")

    def _make_dynamic(self):
        return self._converted("dynamic")

    def _make_qcow2(self):
        path = self._path("flat.qcow2")
        # The old form: it is the one that tcmu-runner's handler can write to.
        tools.run([self.programs.qemu_img, "convert", "-f", "raw", "-O", "qcow2",
                   "-o", "compat=0.10", self.get("raw").path, path])
        tools.drop([path])
        return Image("qcow2", path, [path], self.size)

    # ---- children ----

    def _parent(self):
        """A parent of its own: a snapshot write-protects it."""
        if "parent" not in self.made:
            path = self._path("parent.vhd")
            tools.run([self.programs.vhdctl, "convert", "-f", "raw", self.get("raw").path, path])
            self.made["parent"] = Image("vhd", path, [path], self.size)
        return self.made["parent"]

    def _snapshot(self, parent, path):
        if os.path.exists(path):
            os.unlink(path)
        tools.run([self.programs.vhdctl, "snapshot", parent, path])

    def _qcow2_over(self, parent, path):
        tools.run([self.programs.qemu_img, "create", "-q", "-f", "qcow2", "-o", "compat=0.10",
                   "-b", parent, "-F", "qcow2", path])

    def write(self, image, block=MIB, stride=0, phase=0):
        """Writes the image, or every block whose number leaves phase by stride, in order."""
        handler = {"vhd": self.programs.vhd, "qcow2": self.programs.qcow,
                   "raw": self.programs.raw}[image.kind]
        subtype = {"qcow2": "qcow"}.get(image.kind, image.kind)
        tools.run([self.programs.driver, "--handler", handler, "--config",
                   f"{subtype}/{image.path}", "--size", str(image.size), "--op", "seqwrite",
                   "--block", str(block), "--stride", str(stride), "--phase", str(phase)])

    def _make_child(self):
        path = self._path("child.vhd")
        self._snapshot(self._parent().path, path)
        image = Image("vhd", path, [path, self._parent().path], self.size)
        self.write(image)
        tools.drop([path])
        return image

    def _make_qcow2_child(self):
        path = self._path("child.qcow2")
        self._qcow2_over(self.get("qcow2").path, path)
        image = Image("qcow2", path, [path, self.get("qcow2").path], self.size)
        self.write(image)
        tools.drop([path])
        return image

    # ---- nothing in them yet ----

    def _make_empty_raw(self):
        path = self._path("empty.img")
        with open(path, "wb") as file:
            file.truncate(self.size)
        return Image("raw", path, [path], self.size)

    def _make_empty_child(self):
        path = self._path("empty.vhd")
        self._snapshot(self._parent().path, path)
        return Image("vhd", path, [path], self.size)

    def _make_empty_dynamic(self):
        path = self._path("empty-dynamic.vhd")
        tools.run([self.programs.vhdctl, "create", "--force", "--size", str(self.size), path])
        return Image("vhd", path, [path], self.size)

    def _make_empty_qcow2(self):
        path = self._path("empty.qcow2")
        tools.run([self.programs.qemu_img, "create", "-q", "-f", "qcow2", "-o", "compat=0.10",
                   path, str(self.size)])
        return Image("qcow2", path, [path], self.size)

    def _make_empty_qcow2_child(self):
        path = self._path("empty-child.qcow2")
        self._qcow2_over(self.get("qcow2").path, path)
        return Image("qcow2", path, [path], self.size)

    # ---- chains ----

    def _chain(self, name, count, spread, kind, root, over):
        """root(path) makes the lowest layer, over(parent, path) the next."""
        suffix = {"vhd": "vhd", "qcow2": "qcow2"}[kind]
        files = []
        for layer in range(count):
            path = self._path(f"{name}.{layer}.{suffix}")
            if layer == 0:
                root(path)
            else:
                over(files[-1], path)
            files.append(path)
            image = Image(kind, path, list(reversed(files)), self.chain_size)
            if spread:
                # 4 KiB pieces dealt out like cards, so that every layer has part of each block.
                self.write(image, 4096, count, layer)
            elif layer == 0:
                self.write(image)
        tools.drop(files)
        return image

    def _vhd_chain(self, name, count, spread):
        def root(path):
            tools.run([self.programs.vhdctl, "create", "--size", str(self.chain_size), path])
        return self._chain(name, count, spread, "vhd", root, self._snapshot)

    def _qcow2_chain(self, name, count, spread):
        def root(path):
            tools.run([self.programs.qemu_img, "create", "-q", "-f", "qcow2", "-o",
                       "compat=0.10", path, str(self.chain_size)])
        return self._chain(name, count, spread, "qcow2", root, self._qcow2_over)
