# SPDX-License-Identifier: Apache-2.0
"""The one exception of the lab."""


class LabError(Exception):
    """What went wrong, where, and what to do about it, in words for the person at the terminal."""
