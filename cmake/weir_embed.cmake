# weir_embed: files inside a program.
#   weir_embed(<target> <symbol> BASE <folder> FILES <paths below the folder>...)
# adds to the target a table, sorted by name and ended by a row whose name is NULL, which C reads as
#   #include "embed.h"
#   extern const struct embed_file <symbol>[];
# The bytes come by the assembler's .incbin: a changed file is taken again, and nothing is turned
# into C text. Each file is followed by a zero byte, so text can be used as a string.
include_guard()

function(weir_embed target symbol)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "BASE" "FILES")
  cmake_path(ABSOLUTE_PATH arg_BASE BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} NORMALIZE
             OUTPUT_VARIABLE base)
  list(SORT arg_FILES)
  set(blobs "    .section .rodata\n")
  set(rows "    .section .data.rel.ro,\"aw\",%progbits\n    .balign 8\n    .globl ${symbol}\n")
  string(APPEND rows "    .type ${symbol}, %object\n${symbol}:\n")
  set(inputs "")
  set(i 0)
  foreach(file IN LISTS arg_FILES)
    string(APPEND blobs ".Lname_${i}:\n    .asciz \"${file}\"\n    .balign 16\n"
           ".Ldata_${i}:\n    .incbin \"${base}/${file}\"\n.Lend_${i}:\n    .byte 0\n")
    string(APPEND rows "    .quad .Lname_${i}, .Ldata_${i}, .Lend_${i} - .Ldata_${i}\n")
    list(APPEND inputs ${base}/${file})
    math(EXPR i "${i} + 1")
  endforeach()
  string(APPEND rows "    .quad 0, 0, 0\n    .size ${symbol}, . - ${symbol}\n")
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.S)
  file(CONFIGURE OUTPUT ${source}
       CONTENT "${blobs}${rows}    .section .note.GNU-stack,\"\",%progbits\n" @ONLY)
  set_source_files_properties(${source} PROPERTIES LANGUAGE ASM OBJECT_DEPENDS "${inputs}")
  target_sources(${target} PRIVATE ${source})
endfunction()
