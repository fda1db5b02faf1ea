# SPDX-License-Identifier: Apache-2.0
"""A memkv node inside a machine of the lab, and the lab itself for tests (ci/lab)."""

import json
import os
import re
import sys
import time

from node import BUILD, MEMKV, SOURCE

sys.path.insert(0, os.path.join(SOURCE, "ci"))

# pylint: disable=wrong-import-position,unused-import
from lab.error import LabError
from lab.machine import Drive, Fault, Machine, Network

LOAD_CLIENT = os.path.join(BUILD, "tests/integration/load_client")
ADDRESS = "127.0.0.1:9900"
# Seconds that something may take in the guest, which emulation makes slow and this machine's load
# slower.
STEPS_MAX = 90
TRACING = "/sys/kernel/tracing"
EVENT = f"{TRACING}/events/io_uring/io_uring_complete"


def machine(drives, programs=(), **options):
    """A machine with memkv and its load in it."""
    return Machine(drives, [MEMKV, LOAD_CLIENT, *programs], **options)


class LabNode:
    """`memkv start` in the guest on these block devices, d00, d01 and so on, with its files in
    `folder`; clients find it at `server`."""

    def __init__(self, where, devices, folder="/root/node", memory="96MiB", storage="", extra="",
                 server=ADDRESS):
        self.machine = where
        self.server = server
        self.folder = folder
        config = (f"memory: {{max_size: {memory}}}\nlog: {{format: text}}\n"
                  f"admin: {{auth: none, socket: {folder}/admin.sock}}\n{extra}"
                  f"storage:\n  block_bytes_max: 1MiB\n  scrub_rate: 0B\n{storage}  drives:\n"
                  + "".join(f"    - media: {device}\n" for device in devices))
        where.sh(f"mkdir -p {folder}; cat >{folder}/memkv.yaml <<'END'\n{config}END\n")

    def start(self):
        """Starts it and returns when it is ready."""
        self.machine.sh(f"""
            memkv start --config {self.folder}/memkv.yaml >>{self.folder}/log 2>&1 &
            echo $! >{self.folder}/pid""")
        return self.until("ready", "ask /v1/ready | grep -q 'HTTP/1.[01] 200'")

    def until(self, what, condition):
        """Waits until a shell command succeeds in the guest; `ask PATH` is an HTTP exchange with
        the node."""
        done = self.machine.sh(f"""
            ask() {{
                printf 'GET %s HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' "$1" |
                    nc -w 20 127.0.0.1 9901
            }}
            now() {{
                read -r up idle </proc/uptime
                echo ${{up%.*}}
            }}
            end=$(($(now) + {STEPS_MAX}))
            until {condition}; do
                [ $(now) -lt $end ] || exit 1
                kill -0 $(cat {self.folder}/pid) || exit 2
                sleep 0.3
            done""", seconds=4 * STEPS_MAX, check=False)
        if done.status != 0:
            raise AssertionError(
                f"not seen in the lab: {what}; the node "
                f"{'has ended' if done.status == 2 else 'runs'}\n{done.said}\n{self.log()}")
        return self

    def stop(self):
        """SIGTERM, and an orderly end."""
        self._end("TERM")
        if not any("stopped after" in line for line in self.log().splitlines()[-5:]):
            raise AssertionError(f"the node did not stop in order:\n{self.log()}")

    def kill(self):
        self._end("KILL")

    def end(self):
        """Kills it if it is there."""
        if self.machine.sh(f"[ -e {self.folder}/pid ]", check=False).status == 0:
            self.kill()

    def _end(self, signal):
        # It is no child of the shell that waits for it.
        self.machine.sh(f"""
            pid=$(cat {self.folder}/pid)
            rm {self.folder}/pid
            kill -{signal} $pid
            step=0
            while [ -d /proc/$pid ] && ! grep -q '^State:.Z' /proc/$pid/status; do
                step=$((step + 1))
                [ $step -lt {STEPS_MAX * 5} ] || exit 1
                sleep 0.2
            done""", seconds=4 * STEPS_MAX)

    def log(self):
        return self.machine.sh(f"cat {self.folder}/log", check=False).said

    def http(self, path):
        """The HTTP status and body of a GET."""
        said = self.machine.sh(f"printf 'GET {path} HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' | "
                               "nc -w 30 127.0.0.1 9901").said
        head, _, body = said.partition("\r\n\r\n")
        return int(head.split()[1]), body

    def status(self):
        return json.loads(self.http("/v1/status")[1])

    def health(self):
        return json.loads(self.http("/v1/health")[1])["status"]

    def devices(self):
        return {device["device_id"]: device for device in self.status()["storage"]["devices"]}

    def until_blocks(self, count):
        """Waits until the drives' figures, which are a moment old, add up to so many blocks."""
        end = time.monotonic() + STEPS_MAX
        while sum(device["blocks"] for device in self.devices().values()) != count:
            if time.monotonic() > end:
                raise AssertionError(f"not {count} blocks, but " + str(
                    [device["blocks"] for device in self.devices().values()]))
            time.sleep(0.2)

    def metric(self, name):
        for line in self.http("/v1/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"there is no {name}")

    def command(self, line, check=True):
        """Runs `memkv LINE` against the node."""
        name, _, rest = line.partition(" ")
        return self.machine.sh(f"memkv {name} --server {self.server} {rest}", check=check)

    def admin(self, line, check=True):
        return self.machine.sh(f"memkv admin {line} --socket {self.folder}/admin.sock",
                               check=check)

    def load_line(self, verb, tenant, options):
        return (f"load_client {verb} --server {self.server} --log {self.folder}/{tenant}.log "
                f"--tenant {tenant} {options}")

    def load(self, verb, tenant, options=""):
        """load_client's run or verify, to its end; what it came to."""
        done = self.machine.sh(self.load_line(verb, tenant, options), seconds=240, check=False)
        return self._sums(done.status, done.said)

    def load_begin(self, tenant, options=""):
        """load_client's run, which goes on while others do something."""
        self.machine.sh(f"""(
            {self.load_line('run', tenant, options)}
            echo "status $?") >{self.folder}/{tenant}.said 2>&1 &""")

    def load_end(self, tenant):
        self.until("the end of the load", f"grep -q '^status ' {self.folder}/{tenant}.said")
        return self._ended(self.machine.sh(f"cat {self.folder}/{tenant}.said").said)

    def _ended(self, said):
        """The sums of what load has said up to its status."""
        said, _, status = said.rpartition("status ")
        return self._sums(int(status), said)

    def _sums(self, status, said):
        if status != 0:
            raise AssertionError(f"load_client exits with {status}:\n{said}\nthe node:\n"
                                 f"{self.log()}")
        return json.loads(said.strip().splitlines()[-1])


class Errors:
    """The error numbers that the kernel hands to whoever uses io_uring, memkv, as they come."""

    def __init__(self, where):
        self.machine = where
        where.sh(f"""
            [ -e {TRACING}/trace ] || mount -t tracefs none {TRACING}
            echo 'res == -5 || res == -6 || res == -19 || res == -28 || res == -61 || res == -110' \
                >{EVENT}/filter
            echo 1 >{EVENT}/enable
            : >{TRACING}/trace""")

    def take(self):
        """Which have come since the last take, as a set of positive numbers."""
        said = self.machine.sh(f"cat {TRACING}/trace; : >{TRACING}/trace").said
        return {int(number) for number in re.findall(r"result -(\d+)", said)}
