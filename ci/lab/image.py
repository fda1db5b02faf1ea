# SPDX-License-Identifier: Apache-2.0
"""The initial file system of a machine: busybox, modules, programs with their libraries, files.

It is an archive in the kernel's format (cpio, "newc"), written straight from the files of this
machine: 50 MB take a tenth of a second, so nothing of it is kept.
"""

import os
import re
import shutil
import stat
import subprocess

from lab.error import LabError

INIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest.sh")
# Where commands of busybox are links; a program of the same name in PROGRAMS_AT comes first.
BUSYBOX_AT = "/bin"
PROGRAMS_AT = "/usr/bin"
LDD_S_MAX = 30


class Image:
    """An archive that is being written; parents of an entry come by themselves."""

    def __init__(self, path):
        self._file = open(path, "wb")
        self._inode = 0
        self._names = set()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self._entry("TRAILER!!!", 0, b"")
        self._file.close()

    def _entry(self, name, mode, content, device=(0, 0)):
        self._inode += 1
        encoded = name.encode() + b"\0"
        numbers = (self._inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(encoded), 0)
        header = b"070701" + b"".join(b"%08X" % number for number in numbers)
        self._file.write(header + encoded + bytes(-(len(header) + len(encoded)) % 4))
        self._file.write(content)
        self._file.write(bytes(-len(content) % 4))

    def _begin(self, path):
        """The name of an entry in the archive, or None when it is there already."""
        name = os.path.normpath(path).lstrip("/")
        if name in self._names:
            return None
        if os.path.dirname(name):
            self.folder(os.path.dirname(name))
        self._names.add(name)
        return name

    def folder(self, path):
        name = self._begin(path)
        if name is not None:
            self._entry(name, stat.S_IFDIR | 0o755, b"")

    def content(self, path, content, mode=0o644):
        name = self._begin(path)
        if name is not None:
            self._entry(name, stat.S_IFREG | mode, content)

    def link(self, path, target):
        name = self._begin(path)
        if name is not None:
            self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, path, major, minor):
        name = self._begin(path)
        if name is not None:
            self._entry(name, stat.S_IFCHR | 0o600, b"", (major, minor))

    def copy(self, source, path):
        """A file, or a folder with all that is in it."""
        if os.path.isdir(source):
            self.folder(path)
            for name in sorted(os.listdir(source)):
                self.copy(os.path.join(source, name), os.path.join(path, name))
            return
        with open(source, "rb") as file:
            content = file.read()
        self.content(path, content, 0o755 if os.access(source, os.X_OK) else 0o644)


def find_program(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise LabError(f"there is no program '{name}' to take into the machine; install the "
                       "package that has it, or name it by its path")
    return os.path.realpath(path), os.path.basename(name)


def libraries(program):
    """The shared libraries that a program or library is loaded with, by the paths where the loader
    looks."""
    with open(program, "rb") as file:
        if file.read(4) != b"\x7fELF":
            return []
    done = subprocess.run(["ldd", program], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False, timeout=LDD_S_MAX)
    missing = re.findall(r"(\S+) => not found", done.stdout)
    if missing:
        raise LabError(f"{program} needs {', '.join(missing)}, which this machine does not have")
    return re.findall(r"(?:=> )?(/\S+) \(0x", done.stdout)


def busybox():
    path = shutil.which("busybox")
    if path is None or libraries(os.path.realpath(path)):
        raise LabError("there is no busybox without shared libraries; install it: "
                       "apt-get install busybox-static (or ./dev setup)")
    shown = subprocess.run([path, "--list"], capture_output=True, text=True, check=True,
                           timeout=LDD_S_MAX).stdout
    return path, shown.split()


def write_image(path, kernel, settings, programs, files, loaded=()):
    """Writes the archive. `settings` is the text of /lab/machine, which the guest reads;
    `programs` are names or paths; `files` says what lies where: {path of the guest: path here};
    `loaded` are shared libraries that programs look for themselves while they run."""
    with Image(path) as image:
        image.copy(INIT, "/init")
        image.character_device("/dev/console", 5, 1)
        for folder in ("/proc", "/sys", "/run", "/tmp", "/root", "/out", "/etc", "/lab"):
            image.folder(folder)
        box, commands = busybox()
        image.copy(box, f"{BUSYBOX_AT}/busybox")
        for command in commands:
            image.link(f"{BUSYBOX_AT}/{command}", "busybox")
        image.link("/sbin/modprobe", f"{BUSYBOX_AT}/busybox")  # where the kernel looks for it
        image.copy(kernel.modules, f"/lib/modules/{kernel.release}")
        image.content("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
        image.content("/etc/group", b"root:x:0:\n")
        image.content("/etc/hosts", b"127.0.0.1 localhost\n")
        image.content("/etc/mdev.conf", b"nvme.* 0:0 660 * /init links\n")
        image.content("/lab/machine", settings.encode())
        for target, source in files.items():
            image.copy(source, target)
        for program in programs:
            source, name = find_program(program)
            image.copy(source, f"{PROGRAMS_AT}/{name}")
            for library in libraries(source):
                image.copy(library, library)
        for path in loaded:
            for library in (path, *libraries(path)):
                image.copy(library, library)
