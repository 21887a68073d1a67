# SPDX-License-Identifier: Apache-2.0
# cmake -DFILES="a.avsc;b.avsc" -DOUT=builtin_data.h -P embed.cmake: the files as C arrays and a table.
set(arrays "")
set(table "")
foreach(file IN LISTS FILES)
    get_filename_component(name ${file} NAME_WE)
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
    string(REGEX REPLACE "(................................................................................)"
        "\\1\n    " hex "${hex}")
    string(APPEND arrays "static const char ${name}_avsc[] = {\n    ${hex}0x00};\n")
    string(APPEND table "    {\"${name}\", ${name}_avsc, sizeof ${name}_avsc - 1},\n")
endforeach()
set(text "// Made by schemas/embed.cmake.\n${arrays}static const mr_builtin builtins[] = {\n${table}};\n")
file(WRITE ${OUT} "${text}")
