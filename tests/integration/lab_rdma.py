# SPDX-License-Identifier: Apache-2.0
"""A node at the left end of the lab's wire (ci/lab/soft_roce_wire.sh), and load that comes to it
from the right one. RDMA takes the wire; TCP does not, and stands whatever becomes of it."""

import contextlib

from lab_node import STEPS_MAX, LabNode

SERVER = "127.0.0.1:9900"
CONFIG = (f"network: {{address: '{SERVER}', admin_address: '127.0.0.1:9901', auth: none}}\n"
          "rdma: {device: rxe_left}\n")
LOAD_S_MAX = 10 * STEPS_MAX
KILLED = 128 + 9


def client(transport):
    """The environment of a client at the right end."""
    return (f"MEMKV_SERVERS={SERVER} MEMKV_RDMA_DEVICES=rxe_right MEMKV_TRANSPORT={transport} "
            "MEMKV_CONNECT_TIMEOUT_MS=60000 MEMKV_TIMEOUT_MS=90000")


class Node(LabNode):
    def __init__(self, where, folder, extra=CONFIG):
        super().__init__(where, ["/dev/nvme0n1"], f"/root/{folder}", extra=extra)

    def sample(self, line):
        """A sample of the metrics with its labels."""
        for found in self.http("/v1/metrics")[1].splitlines():
            if found.startswith(line + " "):
                return float(found.rsplit(" ", 1)[1])
        raise AssertionError(f"there is no {line}")

    def moved(self, fabric="rdma"):
        """Payload bytes so far: in, out."""
        return tuple(self.sample(f'memkv_bytes_{way}_total{{fabric="{fabric}",listener="native"}}')
                     for way in ("in", "out"))

    def failures(self, status):
        return self.sample(f'memkv_rdma_failures_total{{status="{status}"}}')

    def until_sample(self, what, line, condition):
        """Waits until the value of a sample, v, is such; a condition of awk."""
        name = line.replace('"', '\\"').replace("{", "[{]")
        return self.until(f"{what}: {line}", "ask /v1/metrics | awk '$0 ~ \"^" + name +
                          f" \" {{ v = $NF; if ({condition}) found = 1 }} END {{ exit !found }}'")

    def until_rdma(self, active):
        """Waits until health says so."""
        word = "true" if active else "false"
        return self.until(f"rdma_active {word}",
                          f"ask /v1/health | grep -q '\"rdma_active\": *{word}'")

    def until_lanes(self):
        return self.until_sample("a lane", 'memkv_connections_active{fabric="rdma"}', "v > 0")

    def until_no_lanes(self):
        return self.until_sample("lanes end", 'memkv_connections_active{fabric="rdma"}', "v == 0")

    def until_moves(self, fabric):
        """Waits until payload has come over this fabric from now on."""
        before = self.moved(fabric)[0]
        return self.until_sample(f"bytes over {fabric}", "memkv_bytes_in_total"
                                 f'{{fabric="{fabric}",listener="native"}}', f"v > {before}")

    def until_said(self, words, count=1):
        return self.until(words, f"[ $(grep -c '{words}' {self.folder}/log) -ge {count} ]")

    def load_line(self, verb, tenant, options=""):
        return super().load_line(verb, tenant,
                                 f"--threads 2 --keys 16 --bytes-max 200000 {options}")

    def verify(self, tenant, transport="rdma"):
        """Reads all that load has left there; what it came to."""
        done = self.machine.sh(f"{client(transport)} {self.load_line('verify', tenant)}",
                               seconds=240, check=False)
        return self._sums(done.status, done.said)

    @contextlib.contextmanager
    def loaded(self, tenant, transport="auto"):
        """Load for as long as the block takes, and goes on where a call cannot be answered. It
        yields a dictionary that has what the load came to behind the block, or the status of one
        that was killed."""
        sums = {}
        on = f"{self.folder}/{tenant}.on"
        line = self.load_line("run", tenant, f"--seconds {LOAD_S_MAX} --while {on} --allow-outage")
        self.machine.sh(f"""
            touch {on}
            (
                {client(transport)} {line}
                echo "status $?") >{self.folder}/{tenant}.said 2>&1 &""")
        try:
            yield sums
        except BaseException:
            # What it would go on to do would be counted by the next test.
            self.machine.sh("killall -9 load_client", check=False)
            raise
        self.machine.sh(f"rm -f {on}")
        sums.update(self.load_end(tenant))

    def _sums(self, status, said):
        if status == KILLED:
            return {"status": status}
        return super()._sums(status, said)
