# SPDX-License-Identifier: Apache-2.0
"""Soft-RoCE in a machine of the lab: what libibverbs and its users need there.

The library looks for its providers while it runs, in /etc/libibverbs.d and where it was told when
it was built, and memkv looks for the library itself, so neither is found from their programs.
"""

import glob
import os

from lab.error import LabError

MODULES = ["crc32_generic", "crc32_pclmul", "ib_uverbs", "rdma_ucm", "rdma_rxe"]
PROGRAMS = ["ip", "tc", "rdma", "ibv_devices", "ibv_devinfo", "ibv_rc_pingpong",
            "ib_send_lat", "ib_send_bw", "ib_write_lat", "ib_write_bw", "ib_read_lat",
            "ib_read_bw"]
DRIVER = "/etc/libibverbs.d/rxe.driver"
PROVIDERS = "/usr/lib/*/libibverbs/librxe-rdmav*.so"
LIBRARY = "/usr/lib/*/libibverbs.so.1"
WIRE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "soft_roce_wire.sh")
PACKAGES = "libibverbs1 ibverbs-providers ibverbs-utils perftest iproute2"


class Parts:
    """What goes into a machine."""

    def __init__(self, programs, files, loaded):
        self.programs, self.files, self.loaded = programs, files, loaded


def parts():
    loaded = [path for pattern in (LIBRARY, PROVIDERS) for path in glob.glob(pattern)]
    if len(loaded) < 2 or not os.path.exists(DRIVER):
        raise LabError("there is no Soft-RoCE for libibverbs; install it: apt-get install "
                       f"{PACKAGES} (or ./dev setup)")
    return Parts(list(PROGRAMS), {DRIVER: DRIVER, "/usr/bin/soft_roce_wire": WIRE}, loaded)
