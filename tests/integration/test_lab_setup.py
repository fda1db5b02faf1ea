# SPDX-License-Identifier: Apache-2.0
"""memkv setup on NVMe drives of the lab: what it finds out about them, and a node of what it
prints, huge pages included."""

import os
import sys
import unittest

from node import MEMKV, SOURCE

sys.path.insert(0, os.path.join(SOURCE, "ci"))

# pylint: disable=wrong-import-position
from lab.machine import Drive, Machine

LONG = os.environ.get("MKV_LONG") == "1"
MBR = r"\0\0\0\0\203\0\0\0\0\010\0\0\0\0\001\0"  # one partition of 32 MiB behind the first MiB

SETUP = """
set -e
first=$(readlink -f /lab/drives/d0)
second=$(readlink -f /lab/drives/d1)
memkv setup 2>&1
memkv setup --drives $first,$second >/root/m.yaml 2>/root/found
cat /root/found
memkv setup --drives $first,$second --idempotent >/root/again.yaml 2>/dev/null
cmp /root/m.yaml /root/again.yaml
cat /root/m.yaml
$(grep -o 'sysctl -w vm.nr_hugepages=[0-9]*' /root/found)
memkv start --config /root/m.yaml --log-format text >/root/log 2>&1 &
node=$!
step=0
until grep -q 'ready in' /root/log; do
    step=$((step + 1)); [ $step -lt 90 ] || { cat /root/log; exit 1; }; sleep 1
done
head -c 300000 /dev/urandom >/root/value
memkv put key /root/value
memkv get key /root/back
cmp /root/value /root/back
kill $node; wait $node
"""

REFUSALS = f"""
set -e
drive=$(readlink -f /lab/drives/d2)
refused() {{
    if memkv setup --drives $drive --force 2>&1; then exit 1; fi
}}
printf '{MBR}' | dd of=$drive bs=1 seek=446 conv=notrunc 2>/dev/null
printf '\\125\\252' | dd of=$drive bs=1 seek=510 conv=notrunc 2>/dev/null
blockdev --rereadpt $drive
refused
dd if=/dev/zero of=$drive bs=4k count=1 2>/dev/null
blockdev --rereadpt $drive
blockdev --setro $drive
refused
"""


class LabSetupTest(unittest.TestCase):
    @unittest.skipUnless(LONG, "a machine of the lab boots for memkv setup alone only with --long")
    def test_nvme_drives__health_sectors_and_a_node_on_huge_pages(self):
        drives = [Drive("d0", "512MiB"), Drive("d1", "512MiB", sector=4096), Drive("d2", "300MiB")]
        with Machine(drives, [MEMKV]) as lab:
            lab.boot()
            said = lab.sh(SETUP, seconds=200).said
            self.assertIn("QEMU NVMe Ctrl: not in use", said)
            self.assertIn("QEMU NVMe Ctrl (d0), 512.00 MiB, sectors of 512 B on 512 B, volatile "
                          "cache", said)
            self.assertIn("QEMU NVMe Ctrl (d1), 512.00 MiB, sectors of 4096 B on 4096 B, volatile "
                          "cache", said)
            self.assertEqual(said.count("of its life used, 0 media errors"), 2)
            self.assertIn("  hugepages: require\n", said)
            self.assertIn("media: /dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_d0\n", said)
            said = lab.sh(REFUSALS, seconds=100).said
            self.assertIn("has 1 partition: nvme2n1p1. Name a partition", said)
            self.assertIn("can only be read. Run: blockdev --setrw /dev/nvme2n1", said)


if __name__ == "__main__":
    unittest.main()
