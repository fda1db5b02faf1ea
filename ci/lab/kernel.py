# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel for the lab: downloaded, unpacked and kept, never installed.

The folder of a kernel in the cache has `vmlinux`, which QEMU starts without the guest having to
unpack it (or `vmlinuz` where that cannot be had), and below `modules/` the modules of MODULES with
all that they need, with the files by which modprobe finds them.
"""

import fcntl
import hashlib
import lzma
import os
import re
import shutil
import struct
import subprocess
import tempfile
import time

from lab.error import LabError

# What machines may load. Drives and ports first; then what scripts ask modprobe for.
MODULES = (
    "virtio_pci", "virtio_console", "virtio_net", "virtio_blk", "nvme",
    "loop", "dm_mod", "dm_flakey", "dm_delay", "dm_log_writes",
    "crc32_generic", "crc32_pclmul", "crc32c_generic", "crc32c_intel",
    "ib_uverbs", "rdma_cm", "rdma_ucm", "rdma_rxe",
    "veth", "bridge", "sch_netem", "sch_prio", "cls_u32", "cls_basic", "em_meta", "act_gact",
)
META_PACKAGE = "linux-image-amd64"
APT_LISTS = "/var/lib/apt/lists"
DOWNLOAD_S_MAX = 600
UNPACK_S_MAX = 300
UNUSED_S_MAX = 24 * 3600


def cache_folder():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = os.path.join(home, "memkv-lab")
    os.makedirs(path, exist_ok=True)
    return path


def run(command, seconds, **options):
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              timeout=seconds, **options)
    except FileNotFoundError:
        raise LabError(f"there is no command {command[0]}: the lab makes its machines of Debian "
                       "packages and needs Debian's tools for them") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"`{' '.join(command)}` did not end in {seconds} s; try again") from None


def lists_stamp():
    """Another one whenever apt's lists are."""
    try:
        return max(entry.stat().st_mtime_ns for entry in os.scandir(APT_LISTS))
    except (OSError, ValueError):
        return 0


def candidate():
    """Name and version of the kernel package that the meta package stands for now, or None. Kept
    with the stamp of the lists, since asking apt takes a second."""
    kept = os.path.join(cache_folder(), "candidate")
    try:
        with open(kept, encoding="ascii") as file:
            stamp, *found = file.read().split()
        if stamp == str(lists_stamp()) and len(found) == 2:
            return tuple(found)
    except (OSError, ValueError):
        pass
    found = ask_apt()
    if found is not None:
        with open(f"{kept}.new", "w", encoding="ascii") as file:
            file.write(f"{lists_stamp()} {found[0]} {found[1]}")
        os.replace(f"{kept}.new", kept)
    return found


def ask_apt():
    shown = run(["apt-cache", "depends", META_PACKAGE], DOWNLOAD_S_MAX, text=True).stdout
    found = re.search(r"Depends: (linux-image-\d\S*)", shown)
    if found is None:
        return None
    policy = run(["apt-cache", "policy", found[1]], DOWNLOAD_S_MAX, text=True).stdout
    version = re.search(r"Candidate: (\S+)", policy)
    return (found[1], version[1]) if version and version[1] != "(none)" else None


def update_lists():
    if os.geteuid() == 0:
        run(["apt-get", "-o", "Acquire::Retries=3", "update"], DOWNLOAD_S_MAX)


def download(folder):
    """Puts the kernel's package into the folder; returns its path."""
    for is_last in (False, True):
        found = candidate()
        if found is not None:
            done = run(["apt-get", "-o", "Acquire::Retries=3", "download",
                        f"{found[0]}={found[1]}"], DOWNLOAD_S_MAX, cwd=folder, text=True)
            archives = [name for name in os.listdir(folder) if name.endswith(".deb")]
            if done.returncode == 0 and archives:
                return os.path.join(folder, archives[0])
        if not is_last:
            update_lists()
    raise LabError(f"the package of {META_PACKAGE} cannot be downloaded; bring apt's lists up to "
                   "date and see why: apt-get update && apt-get download " +
                   (found[0] if found else META_PACKAGE))


def normal(name):
    return os.path.basename(name).split(".ko")[0].replace("-", "_")


def module_info(path):
    """What a module says of itself: its keys with their values."""
    with open(path, "rb") as file:
        content = file.read()
    info = {}
    for key in ("depends", "alias", "softdep"):
        info[key] = [value.decode() for value in
                     re.findall(rb"\0" + key.encode() + rb"=([^\0]*)\0", content)]
        # Strings follow one another, so a search that consumes both zeros sees every other one.
        info[key] += [value.decode() for value in
                      re.findall(rb"(?<=\0)" + key.encode() + rb"=([^\0]*)(?=\0)", content)]
        info[key] = sorted(set(info[key]))
    return info


def closure(paths, names):
    """All modules that these need, in an order in which they can be loaded."""
    order, infos = [], {}

    def visit(name):
        if name in infos or name not in paths:  # what is not a file is built into the kernel
            return
        infos[name] = module_info(paths[name])
        for depends in infos[name]["depends"]:
            for needed in filter(None, depends.split(",")):
                visit(normal(needed))
        order.append(name)

    for name in names:
        visit(name)
    return order, infos


def needs(name, infos):
    """What has to be loaded before a module, the nearest first, each once."""
    found = []
    for depends in infos[name]["depends"]:
        for needed in map(normal, filter(None, depends.split(","))):
            if needed in infos:
                found += [needed, *needs(needed, infos)]
    # A module that several need comes at its last place: modprobe loads from the end.
    return [entry for at, entry in enumerate(found) if entry not in found[at + 1:]]


def take_modules(source, target):
    """Copies what MODULES need, and writes modprobe's files beside it."""
    paths = {}
    for folder, _, names in os.walk(source):
        for name in names:
            if name.endswith(".ko"):
                paths[normal(name)] = os.path.join(folder, name)
    order, infos = closure(paths, MODULES)
    os.makedirs(target)
    with open(os.path.join(target, "modules.dep"), "w", encoding="ascii") as dep, \
            open(os.path.join(target, "modules.alias"), "w", encoding="ascii") as alias:
        for name in order:
            shutil.copyfile(paths[name], os.path.join(target, f"{name}.ko"))
            dep.write(f"{name}.ko:" + "".join(f" {needed}.ko" for needed in needs(name, infos))
                      + "\n")
            for pattern in infos[name]["alias"]:
                alias.write(f"alias {pattern} {name}\n")


def vmlinux(image):
    """The ELF file inside a bzImage that is packed with xz, or None. The offsets are those of the
    kernel's boot protocol: sectors of set-up code, and where in the rest the packed kernel lies."""
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (image[0x1F1] + 1) * 512 + offset
    packed = image[start:start + length]
    try:
        # Behind the packed kernel stands its unpacked size; the decompressor stops before.
        content = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(packed)
    except lzma.LZMAError:
        return None
    return content if content.startswith(b"\x7fELF") else None


def take_kernel(path, target):
    with open(path, "rb") as file:
        image = file.read()
    content = vmlinux(image)
    name, content = ("vmlinuz", image) if content is None else ("vmlinux", content)
    with open(os.path.join(target, name), "wb") as file:
        file.write(content)


def unpack(package, target):
    with tempfile.TemporaryDirectory(prefix="unpack-", dir=os.path.dirname(target)) as folder:
        done = run(["dpkg-deb", "-x", package, folder], UNPACK_S_MAX, text=True)
        if done.returncode != 0:
            raise LabError(f"{package} cannot be unpacked: {done.stderr.strip()}; remove it")
        releases = os.listdir(os.path.join(folder, "lib/modules"))
        assert len(releases) == 1, releases
        take_kernel(os.path.join(folder, "boot", f"vmlinuz-{releases[0]}"), target)
        take_modules(os.path.join(folder, "lib/modules", releases[0], "kernel"),
                     os.path.join(target, "modules"))
        with open(os.path.join(target, "release"), "w", encoding="ascii") as file:
            file.write(releases[0])


class Kernel:
    """A kernel in the cache."""

    def __init__(self, folder):
        self.folder = folder
        self.modules = os.path.join(folder, "modules")
        with open(os.path.join(folder, "release"), encoding="ascii") as file:
            self.release = file.read()
        unpacked = os.path.join(folder, "vmlinux")
        self.image = unpacked if os.path.exists(unpacked) else os.path.join(folder, "vmlinuz")


def kernels(cache):
    """The kernels of the cache, the one used last at the end."""
    folders = [os.path.join(cache, name) for name in os.listdir(cache)
               if name.startswith("kernel-") and os.path.isdir(os.path.join(cache, name))]
    return sorted(folders, key=os.path.getmtime)


def forget_old(cache):
    """Removes kernels that no machine was booted with for a while: a newer one may come while
    others, of another tree, are about to boot."""
    for path in kernels(cache):
        if time.time() - os.path.getmtime(path) > UNUSED_S_MAX:
            shutil.rmtree(path, ignore_errors=True)


def how_it_is_made():
    """Stands for this file in the name of what it makes."""
    with open(__file__, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:12]


def make(cache, name):
    with tempfile.TemporaryDirectory(prefix="making-", dir=cache) as folder:
        os.chmod(folder, 0o755)  # apt's own user downloads into it
        package = download(folder)
        target = os.path.join(folder, "kernel")
        os.mkdir(target)
        unpack(package, target)
        os.rename(target, os.path.join(cache, name))
        forget_old(cache)


def kernel():
    """The newest kernel of the distribution, from the cache where it is there already. Without a
    word from apt, the newest of the cache."""
    cache = cache_folder()
    with open(os.path.join(cache, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other tests may be about to make the same
        found = candidate()
        if found is None and kernels(cache):
            return Kernel(kernels(cache)[-1])
        if found is None:
            update_lists()
            found = candidate()
        if found is None:
            raise LabError(f"apt knows no {META_PACKAGE}; run `apt-get update`, on Debian for "
                           "amd64")
        name = f"kernel-{found[1].replace('/', '_')}-{how_it_is_made()}"
        if not os.path.isdir(os.path.join(cache, name)):
            make(cache, name)
        os.utime(os.path.join(cache, name))
        return Kernel(os.path.join(cache, name))
