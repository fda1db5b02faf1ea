# SPDX-License-Identifier: Apache-2.0
"""The lab: machines with a kernel and NVMe drives of their own, under QEMU without any
acceleration. docs/lab.md says how it is used, machine.py is what tests build on."""
