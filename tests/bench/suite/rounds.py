# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
"""A case, measured: its contenders in turn, round after round."""

import statistics
import sys

from suite import tools


def _ratio(runs, reference, key, inverse=False):
    """
    The median over the rounds of this run by that of the reference in the same round: what slows
    the machine down for a while slows both.
    """
    pairs = [(run[key], other[key]) for run, other in zip(runs, reference)
             if key in run and key in other and run[key] and other[key]]
    if not pairs:
        return None
    return statistics.median(b / a if inverse else a / b for a, b in pairs)


def measure(case, every, rounds):
    """The case as a dictionary for the JSON file.  Contenders that are not there are left out;
    those that fail say why."""
    names = [name for name in case.contenders
             if name in every and every[name].can(case.workload)]
    runs = {name: [] for name in names}
    failures = {}
    for one in {every[name].image: every[name] for name in names}.values():
        one.warm(case.workload)
    for number in range(rounds):
        # Who comes first has what the one before left behind, so nobody always does.
        for name in names[number % len(names):] + names[:number % len(names)]:
            if name in failures:
                continue
            try:
                runs[name].append(every[name].run(case.workload))
            except tools.Failed as why:
                failures[name] = str(why)
                print(f"{case.name}: {name}: {why}", file=sys.stderr)
    reference = runs[case.contenders[0]]
    said = {}
    for name in names:
        if name in failures:
            said[name] = {"failed": failures[name]}
            continue
        said[name] = {key: statistics.median(run[key] for run in runs[name])
                      for key in runs[name][0]}
        said[name]["ratio"] = _ratio(runs[name], reference, "iops")
        # Processor time by processor time: above 1 is cheaper than the reference.
        said[name]["cpu_ratio"] = _ratio(runs[name], reference, "cpu_us", inverse=True)
        said[name]["runs"] = runs[name]
    return {"name": case.name, "workload": vars(case.workload), "reference": case.contenders[0],
            "contenders": said}
