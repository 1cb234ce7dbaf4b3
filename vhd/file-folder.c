/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "vhd/file-folder.h"

#include <string.h>

/* Whether folder is above or below it, part by part: /srv/golden does not allow /srv/golden2. */
static bool folder_within(const char *folder, const char *above)
{
    size_t len = strlen(above);

    while (len > 0 && above[len - 1] == '/')
        len--;
    return strncmp(folder, above, len) == 0 && (folder[len] == '/' || folder[len] == '\0');
}

bool vhd_folder_allowed(const char *folder, const char *const *allowed)
{
    if (!allowed)
        return true;
    for (; *allowed; allowed++)
        if (folder_within(folder, *allowed))
            return true;
    return false;
}
