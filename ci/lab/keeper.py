#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a command that must not outlive who asked for it: keeper.py SECONDS COMMAND…

The command is killed when the time is over, when standard input closes, as it does when the process
at its other end ends in whatever way, and by the kernel if this process is killed itself. The exit
status is the command's, or EXIT_TIME or EXIT_LEFT.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time

EXIT_TIME = 124
EXIT_LEFT = 125
PR_SET_PDEATHSIG = 1


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main():
    end = time.monotonic() + float(sys.argv[1])
    descriptors = [int(name) for name in os.listdir("/proc/self/fd")]
    inherited = [number for number in descriptors if number > 2 and is_open(number)]
    child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, pass_fds=inherited,
                             preexec_fn=die_with_parent)
    for number in inherited:
        os.close(number)
    ended = os.pidfd_open(child.pid)
    ready, _, _ = select.select([0, ended], [], [], max(0.0, end - time.monotonic()))
    if ended in ready:
        return child.wait()
    child.kill()
    child.wait()
    return EXIT_LEFT if ready else EXIT_TIME


def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main() & 0xFF)
