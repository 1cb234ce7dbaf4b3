/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* A LUN without a host: the handler's parts are linked in, and the file of its disk can fail. */
#pragma once

#include "handler/lun.h"
#include "tests/support/fault-file.h"

/* Serves path; without a pending log. lun_close ends it. */
Lun *fault_lun_open(const char *path, Faults *faults);
