# SPDX-License-Identifier: Apache-2.0
"""servers_client: libmemkv over several daemons, under load from one thread, as a child process."""

import os
import subprocess
import threading
import time

from node import BUILD, environment

IN_FLIGHT = 2000
TIMEOUT_MS = 1500
# Generous: machines are slow and loaded.
CHANGE_S_MAX = 60
# A completion comes at its deadline; how much later it is seen depends on the machine alone.
SLOWEST_MS_MAX = TIMEOUT_MS + 30000


class Client:
    """servers_client as a child, whose last line of sums is `sums`."""

    def __init__(self, addresses, connections, prefix=(), in_flight=IN_FLIGHT,
                 timeout_ms=TIMEOUT_MS, pause_ms=0, **variables):
        """`addresses` None: as the variables say; `prefix` is a command that runs the client."""
        self._process = subprocess.Popen(
            [*prefix, os.path.join(BUILD, "tests/integration/servers_client"),
             "-" if addresses is None else ",".join(addresses),
             str(in_flight), str(timeout_ms), str(connections), str(pause_ms)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment(**variables))
        self.sums = {}
        self.errors = ""
        self._readers = [threading.Thread(target=self._read_sums, daemon=True),
                         threading.Thread(target=self._read_errors, daemon=True)]
        for reader in self._readers:
            reader.start()

    def _read_sums(self):
        for line in self._process.stdout:
            words = line.split()
            self.sums = dict(zip(words[::2], map(int, words[1::2])))

    def _read_errors(self):
        self.errors += self._process.stderr.read()

    def wait_for(self, what, condition):
        """Waits until two sums a while apart satisfy condition(before, after)."""
        end = time.monotonic() + CHANGE_S_MAX
        before = dict(self.sums)
        while time.monotonic() < end:
            time.sleep(0.5)
            after = dict(self.sums)
            if before and condition(before, after):
                return after
            before = after
        raise AssertionError(f"not seen in {CHANGE_S_MAX} s: {what}; {self.sums} {self.errors}")

    def end(self):
        self._process.stdin.close()
        status = self._process.wait(timeout=CHANGE_S_MAX)
        for reader in self._readers:
            reader.join(timeout=CHANGE_S_MAX)
        self._process.stdout.close()
        self._process.stderr.close()
        return status

    def kill(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def is_well(before, after):
    return after["ok"] > before["ok"] + IN_FLIGHT and all(
        after[name] == before[name] for name in ("down", "unavailable", "unknown"))


def is_partly_down(before, after):
    return (after["ok"] > before["ok"] and after["down"] > before["down"]
            and after["unavailable"] > before["unavailable"])
