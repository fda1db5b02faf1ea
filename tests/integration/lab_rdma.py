# SPDX-License-Identifier: Apache-2.0
"""A node at the left end of the lab's wire (ci/lab/soft_roce_wire.sh), and load that comes to it
from the right one. RDMA takes the wire; TCP does not, and stands whatever becomes of it. Or a node
and its clients on two machines, where both take the cable between them."""

import contextlib

from lab_node import STEPS_MAX, LabNode

SERVER = "127.0.0.1:9900"
CONFIG = (f"network: {{address: '{SERVER}', admin_address: '127.0.0.1:9901', auth: none}}\n"
          "rdma: {device: rxe_left}\n")
# The right end.
SETTINGS = "MEMKV_RDMA_DEVICES=rxe_right"
LOAD_S_MAX = 10 * STEPS_MAX
KILLED = 128 + 9


def client(transport, server=SERVER, settings=SETTINGS):
    """The environment of a client."""
    return (f"MEMKV_SERVERS={server} {settings} MEMKV_TRANSPORT={transport} "
            "MEMKV_CONNECT_TIMEOUT_MS=60000 MEMKV_TIMEOUT_MS=90000")


class Node(LabNode):
    """`clients` is the machine that clients run on, if it is not the node's; `settings` what their
    environment has beside the server and the transport."""

    def __init__(self, where, folder, extra=CONFIG, server=SERVER, clients=None,
                 settings=SETTINGS):
        super().__init__(where, ["/dev/nvme0n1"], f"/root/{folder}", extra=extra, server=server)
        self.clients = clients or where
        self.settings = settings
        self.clients.sh(f"mkdir -p {self.folder}")

    def client(self, transport):
        return client(transport, self.server, self.settings)

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

    def fallbacks(self, reason):
        return self.sample(f'memkv_rdma_fallbacks_total{{reason="{reason}"}}')

    def total(self, family):
        """The sum of a family's samples."""
        found = [line for line in self.http("/v1/metrics")[1].splitlines()
                 if line.startswith(family + "{")]
        assert found, f"there is no {family}"
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def transitions(self):
        """How often RDMA was lost, and came back."""
        return tuple(self.sample(f'memkv_transport_transitions_total{{kind="{kind}"}}')
                     for kind in ("rdma_down", "rdma_up"))

    def until_sample(self, what, line, condition):
        """Waits until the value of a sample, v, is such; a condition of awk."""
        name = line.replace('"', '\\"').replace("{", "[{]")
        return self.until(f"{what}: {line}", "ask /v1/metrics | awk '$0 ~ \"^" + name +
                          f" \" {{ v = $NF; if ({condition}) found = 1 }} END {{ exit !found }}'")

    def until_rdma(self, active):
        """Waits until health and metrics say so."""
        word = "true" if active else "false"
        self.until(f"rdma_active {word}",
                   f"ask /v1/health | grep -q '\"rdma_active\": *{word}'")
        return self.until_sample(f"RDMA {word}", "memkv_rdma_active", f"v == {int(active)}")

    def until_transitions(self, downs, ups):
        """Waits until RDMA was lost and came back so often at least."""
        for kind, count in (("rdma_down", downs), ("rdma_up", ups)):
            self.until_sample(kind, f'memkv_transport_transitions_total{{kind="{kind}"}}',
                              f"v >= {count}")

    def until_lanes(self):
        return self.until_sample("a lane", "memkv_rdma_connections_active", "v > 0")

    def until_no_lanes(self):
        return self.until_sample("lanes end", "memkv_rdma_connections_active", "v == 0")

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
        done = self.clients.sh(f"{self.client(transport)} {self.load_line('verify', tenant)}",
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
        self.clients.sh(f"""
            touch {on}
            (
                {self.client(transport)} {line}
                echo "status $?") >{self.folder}/{tenant}.said 2>&1 &""")
        try:
            yield sums
        except BaseException:
            # What it would go on to do would be counted by the next test.
            self.clients.sh("killall -9 load_client", check=False)
            raise
        self.clients.sh(f"rm -f {on}")
        sums.update(self.load_end(tenant))

    def load_end(self, tenant):
        if self.clients is self.machine:
            return super().load_end(tenant)
        said = f"{self.folder}/{tenant}.said"
        return self._ended(self.clients.sh(f"""
            step=0
            until grep -q '^status ' {said}; do
                step=$((step + 1))
                [ $step -lt {STEPS_MAX * 5} ] || {{ cat {said}; exit 1; }}
                sleep 0.2
            done
            cat {said}""", seconds=4 * STEPS_MAX).said)

    def _sums(self, status, said):
        if status == KILLED:
            return {"status": status}
        return super()._sums(status, said)
