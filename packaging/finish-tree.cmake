# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
# Makes of what "cmake --install" installs what a package holds; run by cpack.
set(tree ${CPACK_TEMPORARY_INSTALL_DIRECTORY})

# Folders of a package are open to all, whatever the umask it is made under: mkdir obeys that one.
set(folder_modes OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
file(CHMOD_RECURSE ${tree} DIRECTORY_PERMISSIONS ${folder_modes})

file(GLOB long ${tree}/usr/share/man/man*/*)

# Debian's policy: there is a changelog, and the texts of these licences are those that every Debian has.
if(CPACK_GENERATOR STREQUAL DEB)
    set(documents ${tree}/usr/share/doc/tcmu-vhd)
    file(REMOVE_RECURSE ${documents}/LICENSE ${documents}/LICENSES)
    file(COPY ${CMAKE_CURRENT_LIST_DIR}/copyright ${CMAKE_CURRENT_LIST_DIR}/changelog DESTINATION ${documents}
        FILE_PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
    list(APPEND long ${documents}/changelog)
endif()
execute_process(COMMAND gzip -n9 ${long} COMMAND_ERROR_IS_FATAL ANY)
