# SPDX-License-Identifier: Apache-2.0
# cmake -DFILES="a.avsc;b.avsc" -DTABLE=builtins -DOUT=builtin_data.h -P embed.cmake: the files as C arrays
# and a table.
set(arrays "")
set(rows "")
foreach(file IN LISTS FILES)
    get_filename_component(name ${file} NAME_WE)
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
    string(REGEX REPLACE "(................................................................................)"
        "\\1\n    " hex "${hex}")
    string(APPEND arrays "static const char ${TABLE}_${name}[] = {\n    ${hex}0x00};\n")
    string(APPEND rows "    {\"${name}\", ${TABLE}_${name}, sizeof ${TABLE}_${name} - 1},\n")
endforeach()
set(text "// Made by schemas/embed.cmake.\n${arrays}static const mr_builtin ${TABLE}[] = {\n${rows}};\n")
file(WRITE ${OUT} "${text}")
