# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of two sides share: running programs, rounds of pairs, and their table."""
import json
import math
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("MKV_BUILD_DIR", os.path.join(ROOT, "build"))


def run(arguments, timeout=300):
    """What a program prints; its failure ends the benchmark."""
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode != 0:
        name = os.path.basename(sys.argv[0])
        sys.exit(f"bench/{name}: {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def interval_90(ratios):
    """The 90 % interval of the median by order statistics (binomial, p = 1/2)."""
    ordered = sorted(ratios)
    count = len(ordered)
    rank = 0
    tail = 0.0
    while rank < count // 2:
        tail += math.comb(count, rank) / 2 ** count
        if tail > 0.05:
            break
        rank += 1
    rank = max(rank - 1, 0) if tail > 0.05 and rank > 0 else 0
    return ordered[rank], ordered[count - 1 - rank]


class Table:
    """Rows of pairs (ours, theirs), one of each round."""

    def __init__(self):
        self.rounds = {}

    def add(self, name, ours, theirs, bar, unit="MiB/s"):
        row = self.rounds.setdefault(name, {"bar": bar, "unit": unit, "pairs": []})
        row["pairs"].append((ours, theirs))

    def rows(self, digits=1):
        for name, row in self.rounds.items():
            ratios = [ours / theirs for ours, theirs in row["pairs"]]
            low, high = interval_90(ratios)
            yield {"name": name,
                   "ours": round(statistics.median(pair[0] for pair in row["pairs"]), digits),
                   "theirs": round(statistics.median(pair[1] for pair in row["pairs"]), digits),
                   "unit": row["unit"],
                   "ratio": round(statistics.median(ratios), 3),
                   "ratio_low": round(low, 3), "ratio_high": round(high, 3),
                   "rounds": len(ratios), "bar": row["bar"]}

    def print(self, as_json, digits=1):
        rows = list(self.rows(digits))
        if as_json:
            print(json.dumps(rows, indent=2))
            return
        shown = min(digits, 2)
        print(f"{'':58} {'ours':>8} {'theirs':>8} {'ratio':>6}  90 % interval   bar")
        for row in rows:
            relation = "<=" if row["unit"] == "us" else ">="  # of costs and of rates
            bar = "" if row["bar"] is None else f"{relation} {row['bar']}"
            print(f"{row['name']:58} {row['ours']:8.{shown}f} {row['theirs']:8.{shown}f} "
                  f"{row['ratio']:6.2f}  {row['ratio_low']:.2f} to {row['ratio_high']:.2f}   {bar}")
