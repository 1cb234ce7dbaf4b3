# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
"""The floors: what must hold of the measures, from the file beside `run`."""

import dataclasses
import fnmatch


# Measures that the machine and its load decide.
TIMED = {"ratio", "iops", "mb_s", "cpu_us", "cpu_ratio", "open_s", "open_by_pread",
         "open_by_pread_kept", "open_lun_ms", "slowest"}


@dataclasses.dataclass
class Floor:
    case: str       # patterns, as a shell's
    contender: str
    measure: str
    relation: str   # >= or <=
    value: str      # a number, or CONTENDER[*FACTOR]: the same measure of that one
    later: bool     # reported, no failure

    @property
    def timed(self):
        return self.measure in TIMED


def read(path):
    floors = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            words = line.split("#")[0].split()
            if not words:
                continue
            if len(words) not in (5, 6) or words[3] not in (">=", "<=") or \
                    words[5:] not in ([], ["later"]):
                raise ValueError(f"{path}:{number}: not CASE CONTENDER MEASURE >=|<= VALUE [later]")
            floors.append(Floor(*words[:5], len(words) == 6))
    return floors


def _value_of(floor, case):
    """The number a measure is held against; None where the other contender was not there."""
    try:
        return float(floor.value)
    except ValueError:
        other, _, factor = floor.value.partition("*")
        value = case["contenders"].get(other, {}).get(floor.measure)
        return None if value is None else value * float(factor or 1)


def check(floors, cases):
    """
    Yields (floor, case name, contender, value, wanted, held) for each that was measured.  A
    contender that failed where a floor is set counts as a floor that does not hold.
    """
    for floor in floors:
        for case in cases:
            if not fnmatch.fnmatchcase(case["name"], floor.case):
                continue
            for name, measures in case["contenders"].items():
                if not fnmatch.fnmatchcase(name, floor.contender):
                    continue
                wanted = _value_of(floor, case)
                value = measures.get(floor.measure)
                if "failed" in measures:
                    yield floor, case["name"], name, None, wanted, False
                elif value is not None and wanted is not None:
                    held = value >= wanted if floor.relation == ">=" else value <= wanted
                    yield floor, case["name"], name, value, wanted, held
