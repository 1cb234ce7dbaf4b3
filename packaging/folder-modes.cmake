# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# Folders of a package are open to all, whatever the umask it is made under: mkdir obeys that one.
file(CHMOD_RECURSE ${CPACK_TEMPORARY_INSTALL_DIRECTORY} DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
