# SPDX-License-Identifier: Apache-2.0
"""Modules of npm for tests, as a committed package-lock.json names them, in the build folder."""

import fcntl
import os
import shutil
import subprocess
import unittest

NPM_S_MAX = 60


def install(source, modules, what):
    """Installs what source/package-lock.json names in the folder modules, once for each build
    folder; skips the test where that cannot be. `what` needs them."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise unittest.SkipTest(f"node and npm are not installed, and {what} runs on them")
    os.makedirs(modules, exist_ok=True)
    with open(os.path.join(source, "package-lock.json"), encoding="utf-8") as file:
        wanted = file.read()
    with open(os.path.join(modules, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = os.path.join(modules, "installed")
        if os.path.exists(done):
            with open(done, encoding="utf-8") as file:
                if file.read() == wanted:
                    return
        for name in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(source, name), modules)
        try:
            child = subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error",
                 "--fetch-retries=1", "--fetch-timeout=20000"],
                cwd=modules, capture_output=True, text=True, check=False, timeout=NPM_S_MAX)
            problem = child.stderr if child.returncode != 0 else None
        except subprocess.TimeoutExpired:
            problem = f"npm did not end in {NPM_S_MAX} s"
        if problem is not None:
            raise unittest.SkipTest(f"npm cannot install {what}: {problem[-400:]}")
        with open(done, "w", encoding="utf-8") as file:
            file.write(wanted)
