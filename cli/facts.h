/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* What info says about one image: collected once, printed as text or JSON. */
#pragma once

#include <json-glib/json-glib.h>

#include "vhd/image.h"

typedef struct Facts Facts;

/* parent: the path of the parent's file, NULL if there is none or it was not found. */
Facts *facts_new(VhdImage *image, const char *parent);
void facts_free(Facts *facts); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Facts, facts_free)

void facts_print(const Facts *facts);
void facts_add_json(const Facts *facts, JsonBuilder *builder); /* an object */
