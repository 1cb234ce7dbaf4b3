/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Crashes while vhdctl makes a file: create, snapshot and convert, as they call the engine. */
#pragma once

#include "tests/crash/cuts.h"

/* Make one image beside the rig's chain, or a child or copy of it, and judge what crashes leave:
 * once it has its name it is whole. The rig is as it was made. */
void verbs_of_rig(Tally *tally, Rig *rig);
