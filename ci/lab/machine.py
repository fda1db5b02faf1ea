# SPDX-License-Identifier: Apache-2.0
"""Machines of the lab, for tests, benchmarks and ./dev lab.

    with Machine(drives=[Drive("d0"), Drive("d1", sector=4096)], programs=["build/memkv"]) as lab:
        lab.boot()
        print(lab.sh("cat /sys/block/nvme0n1/size").said)
        lab.unplug("d0")

A machine has two processors, Debian's kernel and the drives, and runs shell scripts that it is
sent; their names of the drives are in $DRIVES (/lab/drives/d0 …) and stay when the kernel's change.
It ends with its `with`, at the end of `seconds`, and when the process that booted it ends.

Several calls may come from several threads; scripts run one after another.
"""

import errno as errors
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

from lab import image, keeper, soft_roce
from lab.error import LabError
from lab.kernel import kernel
from lab.qmp import Monitor

QEMU = "qemu-system-x86_64"
# Emulated, on a slow machine that has other things to do.
BOOT_S_MAX = 300
UNPLUG_S_MAX = 120
KILL_S_MAX = 30
MEMORY_MIB = 768
MTU = 9000
MACHINES_MAX = 2
# Rules that QEMU looks through at each request of a drive.
FAULT_RULES_MAX = 1024
FAULT_UNIT = 4096
CONSOLE_LINES_SHOWN = 40

# Without no_timer_check a kernel that does not see the timer tick in the moment of its check, on a
# busy host, panics.
KERNEL_OPTIONS = ("console=ttyS0 quiet loglevel=5 panic=-1 rdinit=/init mitigations=off nokaslr "
                  "random.trust_cpu=on audit=0 apparmor=0 nowatchdog tsc=reliable "
                  "no_timer_check rcupdate.rcu_cpu_stall_suppress=1")


class Drive:
    """One NVMe drive.

    name            its serial number; the guest finds it as /lab/drives/NAME
    size            bytes, or as in "256MiB"; of an image that is made
    sector          logical sector: 512 or 4096
    write_through   the guest's kernel takes the drive for one without a volatile cache and sends it
                    no flushes; else it has one, as QEMU's NVMe always says
    path            an image that is there and stays; else one is made that goes with the machine
    nbd             the Unix socket of an NBD server that stands behind the drive instead
    faults          Fault rules from the start
    flush           whether flushes go through to this machine's disk; only its own crash would tell
    direct          whether the image is read and written past this machine's page cache
    """

    def __init__(self, name, size="256MiB", sector=512, write_through=False, path=None, nbd=None,
                 faults=(), flush=False, direct=False):
        assert sector in (512, 4096) and not (path and nbd)
        self.name = name
        self.size_bytes = parse_size(size)
        self.sector = sector
        self.write_through = write_through
        self.path = path
        self.nbd = nbd
        self.faults = list(faults)
        self.flush = flush
        self.direct = direct

    def allocated_bytes(self):
        """What the image takes of this machine's disk."""
        return os.stat(self.path).st_blocks * 512

    def storage(self):
        """The lowest node: what holds the drive's bytes."""
        if self.nbd is not None:
            protocol = {"driver": "nbd", "server": {"type": "unix", "path": self.nbd}}
        else:
            protocol = {"driver": "file", "filename": self.path}
        return {**protocol, **self._common("storage")}

    def _common(self, node):
        return {"node-name": f"{self.name}-{node}" if node else self.name, "discard": "unmap",
                "cache": {"direct": self.direct and self.nbd is None,
                          "no-flush": not self.flush and self.nbd is None}}

    def top(self, below):
        """The node that the emulated drive uses; what is below it may be changed."""
        return {"driver": "raw", "file": f"{self.name}-{below}", **self._common("")}

    def fault_node(self, number):
        return {"driver": "blkdebug", "image": f"{self.name}-storage",
                "inject-error": [rule for fault in self.faults for rule in fault.rules()],
                **self._common(f"faults-{number}")}

    def device(self):
        return {"driver": "nvme", "id": f"nvme-{self.name}", "serial": self.name,
                "drive": self.name, "logical_block_size": self.sector,
                "physical_block_size": self.sector}


class Fault:
    """Operations of one kind that a drive fails: anywhere, or where they touch `bytes_count` from
    `offset` on. QEMU's NVMe tells the guest of a medium error, whose kernel makes it ENODATA,
    whatever error the rule names; the real EIO comes from the guest's dm-error."""

    KINDS = ("read", "write", "flush", "discard", "write-zeroes")

    def __init__(self, kind, offset=None, bytes_count=FAULT_UNIT, once=False):
        assert kind in self.KINDS
        assert offset is None or offset % FAULT_UNIT == 0
        assert bytes_count <= FAULT_RULES_MAX * FAULT_UNIT
        self.kind, self.offset, self.bytes_count, self.once = kind, offset, bytes_count, once

    def rules(self):
        rule = {"event": "none", "iotype": self.kind, "errno": errors.EIO, "once": self.once}
        if self.offset is None:
            return [rule]
        return [{**rule, "sector": offset // 512} for offset in
                range(self.offset, self.offset + self.bytes_count, FAULT_UNIT)]


class Network:
    """Joins up to two machines by a cable of their own, which nothing else is on. MACHINE, ADDRESS
    and OTHER tell a script which machine it is on, and where the other is. Made anew for every
    boot, for both."""

    def __init__(self):
        self._ends = list(socket.socketpair())

    def plug(self):
        return self._ends.pop(0)

    def close(self):
        for end in self._ends:
            end.close()


class Done:
    """What a script came to."""

    def __init__(self, status, said):
        self.status, self.said = status, said


def parse_size(size):
    if isinstance(size, int):
        return size
    for suffix, factor in (("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)):
        if size.endswith(suffix) and size[:-len(suffix)].isdigit():
            return int(size[:-len(suffix)]) * factor
    raise LabError(f"'{size}' is not a size such as 256MiB")


def require_qemu():
    if shutil.which(QEMU) is None:
        raise LabError(f"there is no {QEMU}; install it: apt-get install qemu-system-x86 "
                       "(or ./dev setup)")


class Machine:
    """One machine, which boots as often as it is told to; drives keep what they hold.

    programs        taken into the guest's /usr/bin with their libraries: names or paths
    files           {path in the guest: file or folder here}
    memory_mib      what the guest has
    network         None: no network; "user": a network card, and QEMU behind it, for forward();
                    a Network: the other machine
    rdma            Soft-RoCE on that card, rxe0, with the programs of ci/lab/soft_roce.py
    number, count   which machine this is, of how many
    modules         modules of kernel.MODULES loaded at boot; others come by modprobe
    seconds         how long it lives after a boot at most
    folder          where images and logs are; else one that goes with the machine
    """

    def __init__(self, drives=(), programs=(), files=None, memory_mib=MEMORY_MIB, network=None,
                 number=1, count=1, modules=(), seconds=300, processors=2, folder=None,
                 rdma=False):
        require_qemu()
        assert len({drive.name for drive in drives}) == len(drives)
        self.drives = {drive.name: drive for drive in drives}
        self.programs, self.files, self.modules = list(programs), dict(files or {}), list(modules)
        self.memory_mib, self.network, self.seconds = memory_mib, network, seconds
        self.number, self.count, self.processors = number, count, processors
        self.rdma = soft_roce.parts() if rdma else None
        if rdma:
            assert network is not None, "Soft-RoCE stands on a network card"
            self.programs += self.rdma.programs
            self.files.update(self.rdma.files)
            self.modules += soft_roce.MODULES
        self._own_folder = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="memkv-lab-")
        self.monitor = None
        self._guard = None
        self._command = None
        self._lock = threading.Lock()
        self._fault_nodes = 0
        for drive in drives:
            self._make_image(drive)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.kill()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def _make_image(self, drive):
        if drive.path is None and drive.nbd is None:
            drive.path = self.path(f"{drive.name}.img")
            with open(drive.path, "wb") as file:
                file.truncate(drive.size_bytes)

    # ---- boot and end ---------------------------------------------------------------------------

    def boot(self, seconds=BOOT_S_MAX):
        """Starts it and returns when it takes scripts."""
        assert self._guard is None, "it is running"
        chosen = kernel()
        self._write_image(chosen)
        sockets = {"qmp": socket.socketpair(), "command": socket.socketpair()}
        plug = self.network.plug() if isinstance(self.network, Network) else None
        passed = [pair[1] for pair in sockets.values()] + ([plug] if plug else [])
        command = self._qemu(chosen, {name: pair[1].fileno() for name, pair in sockets.items()},
                             plug)
        with open(self.path("qemu.log"), "ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, keeper.__file__, str(self.seconds), *command],
                stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
                pass_fds=[end.fileno() for end in passed])
        for end in passed:
            end.close()
        try:
            self._command = sockets["command"][0]
            self.monitor = Monitor(sockets["qmp"][0])
            self._answer(time.monotonic() + seconds)
        except LabError as error:
            self.kill()
            raise LabError(f"{self._who()} does not come up: {error}\n{self.last_words()}"
                           ) from None
        return self

    def _write_image(self, chosen):
        try:
            image.write_image(self.path("initrd"), chosen, self._settings(), self.programs,
                              self.files, self.rdma.loaded if self.rdma else ())
        except OSError as error:
            raise LabError(f"{self._who()} cannot be put together in {self.folder}: "
                           f"{error.strerror or error}; TMPDIR names another place") from None

    def _who(self):
        return f"machine {self.number}"

    def _address(self, number):
        return f"10.77.0.{number}" if isinstance(self.network, Network) else "10.0.2.15"

    def _settings(self):
        modules = ["virtio_pci", "virtio_console", *(["virtio_net"] if self.network else []),
                   *(["nvme"] if self.drives else []), *self.modules]
        other = self._address(3 - self.number) if isinstance(self.network, Network) else ""
        through = [drive.name for drive in self.drives.values() if drive.write_through]
        return "".join(f"{name}='{value}'\n" for name, value in (
            ("MACHINE", self.number), ("MACHINES", self.count),
            ("ADDRESS", self._address(self.number) if self.network else ""), ("OTHER", other),
            ("MTU", MTU if isinstance(self.network, Network) else 1500),
            ("MODULES", " ".join(modules)), ("DRIVE_NAMES", " ".join(self.drives)),
            ("WRITE_THROUGH", " ".join(through)), ("RDMA", "yes" if self.rdma else "")))

    def _qemu(self, chosen, descriptors, plug):
        command = [
            QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-machine", "pc", "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max,la57=off",
            "-smp", str(self.processors), "-m", str(self.memory_mib),
            "-kernel", chosen.image, "-initrd", self.path("initrd"), "-append", KERNEL_OPTIONS,
            "-chardev", f"file,id=console,path={self.path('console.log')}",
            "-serial", "chardev:console",
            "-chardev", f"socket,id=qmp,fd={descriptors['qmp']}",
            "-mon", "chardev=qmp,mode=control",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=command,fd={descriptors['command']}",
            "-device", "virtserialport,chardev=command,name=memkv.command",
            "-chardev", f"file,id=log,path={self.path('script.log')}",
            "-device", "virtserialport,chardev=log,name=memkv.log",
        ]
        for drive in self.drives.values():
            nodes = [drive.storage()]
            if drive.faults:
                nodes.append(drive.fault_node(0))
            nodes.append(drive.top("faults-0" if drive.faults else "storage"))
            for node in nodes:
                command += ["-blockdev", json.dumps(node)]
            command += ["-device", json.dumps(drive.device())]
        if plug is not None:
            command += ["-netdev", f"socket,id=network,fd={plug.fileno()}"]
        elif self.network == "user":
            command += ["-netdev", "user,id=network,restrict=on,ipv6=off"]
        if self.network:
            size = f",host_mtu={MTU}" if plug is not None else ""
            command += ["-device", "virtio-net-pci,netdev=network,romfile=,"
                        f"mac=52:54:00:77:00:0{self.number}{size}"]
        return command

    def kill(self):
        """Takes the machine away from one moment to the next. What its drives were written is
        there, since this machine's kernel has it: that is no power cut."""
        if self._guard is None:
            return
        self._guard.stdin.close()
        try:
            self._guard.wait(KILL_S_MAX)
        finally:
            self._guard = None
            for end in (self.monitor, self._command):
                if end is not None:
                    end.close()
            self.monitor = self._command = None
            self._fault_nodes = 0

    @property
    def pid(self):
        """QEMU's process."""
        with open(f"/proc/{self._guard.pid}/task/{self._guard.pid}/children",
                  encoding="ascii") as file:
            return int(file.read().split()[0])

    # ---- scripts and files ----------------------------------------------------------------------

    def _receive(self, end):
        self._command.settimeout(max(0.01, end - time.monotonic()))
        try:
            piece = self._command.recv(1 << 16)
        except TimeoutError:
            raise LabError("its time is over") from None
        except OSError as error:
            raise LabError(f"its connection is gone: {error}") from None
        if not piece:
            raise LabError("it has ended")
        return piece

    def _answer(self, end):
        received = b""
        while b"\n" not in received:
            received += self._receive(end)
        line, said = received.split(b"\n", 1)
        status, size = line.split()
        while len(said) < int(size):
            said += self._receive(end)
        return status, said

    def _exchange(self, script, kind, seconds):
        with self._lock:
            if self._command is None:
                raise LabError(f"{self._who()} is not running")
            content = script.encode() + b"\n"
            try:
                self._command.settimeout(seconds)
                self._command.sendall(f"{len(content)} {kind}\n".encode() + content)
                status, said = self._answer(time.monotonic() + seconds)
            except (LabError, OSError) as error:
                # Nothing that comes later would be told from the answer to this.
                self.kill()
                raise LabError(f"{self._who()}, at `{script.strip()[:200]}`: {error}\n"
                               f"{self.last_words()}") from None
            return int(status), said

    def sh(self, script, seconds=60, check=True):
        """Runs a script to its end; a machine that does not answer in time is killed. What the
        script leaves running has to have its output elsewhere."""
        status, said = self._exchange(script, "answer", seconds)
        text = said.decode(errors="replace")
        if check and status != 0:
            raise LabError(f"{self._who()}: `{script.strip()[:200]}` exits with {status}:\n{text}")
        return Done(status, text)

    def run(self, script, seconds=None):
        """Runs a script whose output goes to `script.log` as it comes; returns its status."""
        return self._exchange(script, "log", seconds or self.seconds)[0]

    def read(self, path, seconds=60):
        """What is in a file of the guest, or comes of a device."""
        status, content = self._exchange(f"cat '{path}'", "answer", seconds)
        if status != 0:
            raise LabError(f"{self._who()}: {content.decode(errors='replace').strip()}")
        return content

    def take(self, path, target):
        """Copies what is in a folder of the guest into one of this machine."""
        status, archive = self._exchange(f"tar -cf - -C '{path}' .", "answer", self.seconds)
        if status != 0:
            raise LabError(f"{self._who()}: {path} cannot be taken: {archive[-500:]!r}")
        os.makedirs(target, exist_ok=True)
        subprocess.run(["tar", "-xf", "-", "--no-same-owner", "-C", target], input=archive,
                       check=True)

    def log(self):
        """What scripts of run() have said."""
        return self._read("script.log")

    def console(self):
        """What the kernel has said."""
        return self._read("console.log")

    def _read(self, name):
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def last_words(self):
        """The ends of what QEMU and the kernel said."""
        return "\n".join(f"{what}: {line}" for what, text in
                         (("qemu", self._read("qemu.log")), ("console", self.console()))
                         for line in text.splitlines()[-CONSOLE_LINES_SHOWN:])

    # ---- drives and network from the outside ----------------------------------------------------

    def unplug(self, name):
        """Takes a drive out and returns when the guest has let go of it."""
        self.monitor.command("device_del", id=f"nvme-{name}")
        self.monitor.wait_for("DEVICE_DELETED", UNPLUG_S_MAX, device=f"nvme-{name}")

    def plug(self, name):
        """Puts a drive in again, with what it holds; the guest finds it a moment later."""
        self.monitor.command("device_add", **self.drives[name].device())

    def set_faults(self, name, *faults):
        """From now on the drive fails what these say, and nothing else."""
        drive = self.drives[name]
        drive.faults = list(faults)
        below = "storage"
        if faults:
            self._fault_nodes += 1
            node = drive.fault_node(f"at-{self._fault_nodes}")
            self.monitor.command("blockdev-add", **node)
            below = node["node-name"].removeprefix(f"{name}-")
        self.monitor.command("blockdev-reopen", options=[drive.top(below)])

    def set_link(self, is_up):
        """Pulls the network's cable out at this machine's end, or puts it in again. The guest sees
        its link go down; a machine at the other end sees silence."""
        said = self._ask_person(f"set_link network {'on' if is_up else 'off'}")
        if said.strip():
            raise LabError(f"{self._who()}: its link cannot be set: {said.strip()}")

    def _ask_person(self, line):
        """A command that the monitor has only for people."""
        return self.monitor.command("human-monitor-command", **{"command-line": line})

    def forward(self, port):
        """A port of this machine's loopback behind which the guest's is (network="user")."""
        assert self.network == "user"
        said = self._ask_person(f"hostfwd_add network tcp:127.0.0.1:0-:{port}")
        if said.strip():
            raise LabError(f"{self._who()}: port {port} cannot be forwarded: {said.strip()}")
        shown = self._ask_person("info usernet")
        for line in shown.splitlines():
            words = line.split()
            if words and words[0] == "TCP[HOST_FORWARD]" and words[5] == str(port):
                return int(words[3])
        raise LabError(f"{self._who()}: port {port} is forwarded from nowhere:\n{shown}")
