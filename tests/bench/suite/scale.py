# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
"""What is about size: opening long chains of large images, memory of a LUN, many LUNs at once."""


def all_cases(quick):
    """(name, function) of each."""
    return []
