# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
"""The table, and the picture."""

import os

from suite import tools


def _number(value, digits=3):
    if value is None:
        return "-"
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:.0f}"


def _unit_of(case):
    return "mb_s" if case.get("workload", {}).get("block", 0) >= 65536 else "iops"


def table_of_rates(cases):
    lines = []
    for case in cases:
        unit = _unit_of(case)
        lines.append(f"{case['name']}   ({'MB/s' if unit == 'mb_s' else 'requests/s'}; ratios to "
                     f"{case['reference']})")
        for name, said in case["contenders"].items():
            if "failed" in said:
                lines.append(f"    {name:32} failed")
                continue
            lines.append(f"    {name:32} {_number(said[unit]):>10}   x {_number(said['ratio']):6}"
                         f"   cpu us/request {_number(said.get('cpu_us')):>7}"
                         f"   cpu x {_number(said.get('cpu_ratio'))}")
    return lines


def table_of_counts(cases):
    lines = []
    for case in cases:
        lines.append(case["name"])
        for name, said in case["contenders"].items():
            if "failed" in said:
                lines.append(f"    {name:20} failed")
                continue
            lines.append(f"    {name:20} " + "   ".join(
                f"{key} {_number(value)}" for key, value in said.items()
                if not isinstance(value, (dict, list))))
    return lines


def table_of_floors(results):
    lines = []
    for floor, case, contender, value, wanted, held in results:
        verdict = "ok" if held else "later" if floor.later else "BELOW"
        lines.append(f"{verdict:6} {case:40} {contender:28} {floor.measure} "
                     f"{'failed' if value is None else _number(value)} {floor.relation} "
                     f"{_number(wanted)}")
    return lines


# ---- the picture ----

def _depth_curves(cases, shape, names, key):
    """contender -> [(queue depth, rate)] of the warm cases of one shape."""
    curves = {}
    for case in cases:
        if case["name"].startswith(f"warm/{shape}/"):
            for name, said in case["contenders"].items():
                if name in names and "failed" not in said:
                    curves.setdefault(name, []).append((case["workload"]["depth"], said[key]))
    return curves


def _chain_curves(cases):
    """family -> [(layers, time of a request by that of the shortest chain)]"""
    curves = {}
    for case in cases:
        parts = case["name"].split("/")
        if parts[0] != "depth" or parts[1] == "beside-qcow2" or parts[2:] != ["randread-4k", "qd32"]:
            continue
        curves[parts[1]] = [(int(name.rpartition("-")[2]), 1 / said["ratio"])
                            for name, said in case["contenders"].items() if said.get("ratio")]
    return curves


def _plot(title, y_label, x_label, curves):
    """One graph of gnuplot: its commands, data inline."""
    lines = [f'set title "{title}"', f'set ylabel "{y_label}"', f'set xlabel "{x_label}"']
    drawn = []
    for number, (name, points) in enumerate(curves.items()):
        lines.append(f"$d{number} << EOD")
        lines += [f"{x} {y}" for x, y in points]
        lines.append("EOD")
        drawn.append(f'$d{number} using 1:2 with linespoints pt {number + 1} lw 2 title "{name}"')
    lines.append("plot " + ", ".join(drawn))
    return lines


def picture(programs, cases, path):
    """False: gnuplot is not here, or there is nothing to draw."""
    names = ["raw", "fixed", "dynamic", "child", "qcow2", "qemu-vpc-io_uring",
             "qemu-qcow2-io_uring", "fio-io_uring"]
    graphs = []
    for shape, key, label in (("randread-4k", "iops", "requests/s"),
                              ("randwrite-4k", "iops", "requests/s"),
                              ("seqread-1m", "mb_s", "MB/s")):
        curves = _depth_curves(cases, shape, names, key)
        if curves:
            graphs.append(_plot(f"{shape}, warm", label, "requests in flight", curves))
    curves = _chain_curves(cases)
    if curves:
        graphs.append(_plot("cost of a 4 KiB random read, warm", "times that of one layer",
                            "layers", curves))
    if not programs.gnuplot or not graphs:
        return False
    script = ["set terminal pngcairo size 1400,1000 noenhanced font ',10'",
              f'set output "{path}"', "set logscale x 2", "set yrange [0:*]", "set key outside",
              "set grid", "set multiplot layout 2,2"]
    for graph in graphs:
        script += graph
    script.append("unset multiplot")
    source = os.path.splitext(path)[0] + ".gnuplot"
    with open(source, "w", encoding="utf-8") as file:
        file.write("\n".join(script) + "\n")
    tools.run([programs.gnuplot, source])
    os.unlink(source)
    return True
