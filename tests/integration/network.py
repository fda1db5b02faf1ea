# SPDX-License-Identifier: Apache-2.0
"""Machines of a test: network namespaces, each with one interface on one bridge, which stands in a
namespace of its own. Nothing of it is seen outside, and all of it is gone with close()."""

import contextlib
import ctypes
import os
import re
import shutil
import subprocess
import unittest

CLONE_NEWNET = 0x40000000
PREFIX = "memkv-test-"
COMMAND_S_MAX = 60

_libc = ctypes.CDLL(None, use_errno=True)


def _ip(*arguments, check=True):
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=check,
                          timeout=COMMAND_S_MAX)


def _enter(descriptor):
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _sweep():
    """Deletes what runs of this test left behind that were killed."""
    for line in _ip("netns", "list", check=False).stdout.splitlines():
        match = re.match(rf"({PREFIX}(\d+)-\S+)", line)
        if match and not os.path.exists(f"/proc/{match[2]}"):
            _ip("netns", "delete", match[1], check=False)


class Network:
    """`count` machines with the addresses 10.77.0.1, 10.77.0.2 ..."""

    def __init__(self, count):
        if os.geteuid() != 0:
            raise unittest.SkipTest("network namespaces take root")
        if shutil.which("ip") is None:
            raise unittest.SkipTest("ip is not installed; apt-get install iproute2")
        _sweep()
        self._names = []
        try:
            self._hub = self._add("hub")
            _ip("-n", self._hub, "link", "add", "bridge", "type", "bridge")
            _ip("-n", self._hub, "link", "set", "bridge", "up")
            for index in range(count):
                self._add_machine(index)
        except (subprocess.CalledProcessError, OSError) as error:
            self.close()
            detail = getattr(error, "stderr", None) or str(error)
            raise unittest.SkipTest(
                f"no network namespaces can be made here: {detail.strip()}") from None

    def _add(self, what):
        name = f"{PREFIX}{os.getpid()}-{what}"
        _ip("netns", "add", name)
        self._names.append(name)
        return name

    def _add_machine(self, index):
        name = self._add(str(index))
        _ip("-n", self._hub, "link", "add", f"port{index}", "type", "veth", "peer", "name", "eth0",
            "netns", name)
        _ip("-n", self._hub, "link", "set", f"port{index}", "master", "bridge", "up")
        _ip("-n", name, "address", "add", f"{self.address(index)}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", name, "link", "set", "eth0", "up")

    @staticmethod
    def address(index):
        return f"10.77.0.{index + 1}"

    @contextlib.contextmanager
    def on(self, index):
        """This thread, and the processes and sockets that it makes, are on that machine."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        other = os.open(f"/run/netns/{self._names[index + 1]}", os.O_RDONLY)
        try:
            _enter(other)
            yield
        finally:
            _enter(own)
            os.close(own)
            os.close(other)

    def cut(self, index):
        """What is sent to the machine, and what it sends, is lost without a word."""
        _ip("-n", self._hub, "link", "set", f"port{index}", "nomaster")

    def heal(self, index):
        _ip("-n", self._hub, "link", "set", f"port{index}", "master", "bridge")

    def close(self):
        while self._names:
            _ip("netns", "delete", self._names.pop(), check=False)
