#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
# The handler exports handler_init alone, so that it cannot stand in for a symbol
# of another handler, and imports from the host what tcmu-runner 1.5.0 to 1.6.2
# export: a name that is missing would keep the whole object from being loaded.
#   symbols-test.sh HANDLER
set -euo pipefail
export LC_ALL=C

handler=$1
host_symbols='tcmu_cfgfs_dev_get_wwn tcmu_dev_get_block_size tcmu_dev_get_cfgstring
tcmu_dev_get_num_lbas tcmu_dev_get_write_cache_enabled tcmu_dev_set_max_unmap_len
tcmu_dev_set_max_xfer_len tcmu_dev_set_num_lbas tcmu_dev_set_opt_unmap_gran
tcmu_dev_set_opt_xcopy_rw_len tcmu_dev_set_unmap_enabled tcmu_dev_set_unmap_gran_align
tcmu_dev_set_write_cache_enabled tcmu_err_message tcmu_info_message tcmu_sense_set_data
tcmu_sense_set_info tcmu_warn_message tcmur_cmd_complete tcmur_dev_get_private
tcmur_dev_set_private tcmur_dev_update_size tcmur_register_handler'

exported=$(nm -D --defined-only "$handler" | awk '{ print $3 }')
if [[ $exported != handler_init ]]; then
    echo "exported: $exported" >&2
    exit 1
fi
# What the libraries it is linked with do not have, the host must.
imported=$(ldd -r "$handler" 2>&1 | awk '$1 == "undefined" { print $3 }' | sort)
unknown=$(comm -23 <(echo "$imported") <(tr ' ' '\n' <<<"$host_symbols" | sort))
if [[ -n $unknown ]]; then
    echo "imported, but not known to be exported by tcmu-runner: $unknown" >&2
    exit 1
fi
