# weir_flags: language level, warnings, sanitizers and hardening, in one interface target that
# every module and program of ours links; llama.cpp and other foreign code does not.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

find_program(WEIR_CCACHE ccache)
if(WEIR_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${WEIR_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${WEIR_CCACHE})
endif()

add_library(weir_flags INTERFACE)
# Those that only C has are kept from the one C++ file.
set(warnings_both
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wdouble-promotion -Wformat=2
    -Wcast-qual -Wcast-align -Wpointer-arith -Wwrite-strings -Wundef -Wvla -Wswitch-enum
    -Wimplicit-fallthrough)
set(warnings_c -Wstrict-prototypes -Wmissing-prototypes)
target_compile_options(weir_flags INTERFACE
  $<$<COMPILE_LANGUAGE:C,CXX>:${warnings_both}>
  $<$<COMPILE_LANGUAGE:C>:${warnings_c}>
  # `, ##__VA_ARGS__` is how a macro takes no argument or many (log.h, db.h); gcc does not object.
  $<$<COMPILE_LANG_AND_ID:C,Clang,AppleClang>:-Wno-gnu-zero-variadic-macro-arguments>
  # A fiber that waits is in a list by a node on its stack; gcc takes that for a mistake.
  $<$<COMPILE_LANG_AND_ID:C,GNU>:-Wno-dangling-pointer>
  $<$<COMPILE_LANGUAGE:C,CXX>:-fno-omit-frame-pointer>
  $<$<COMPILE_LANGUAGE:C,CXX>:-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=>)
# Empty, so that a file may still say `#define _GNU_SOURCE` for itself.
target_compile_definitions(weir_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:_GNU_SOURCE=>)
target_link_libraries(weir_flags INTERFACE pthread)

if(WEIR_WERROR)
  target_compile_options(weir_flags INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:-Werror>)
endif()

if(WEIR_FUZZ AND NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "libFuzzer needs clang: use the preset `fuzz`")
endif()
if(WEIR_SANITIZE)
  set(sanitize ${WEIR_SANITIZE})
  if(WEIR_FUZZ)
    string(APPEND sanitize ",fuzzer-no-link")
  endif()
  target_compile_options(weir_flags INTERFACE
    $<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize=${sanitize}$<SEMICOLON>-fno-sanitize-recover=all>)
  target_link_options(weir_flags INTERFACE -fsanitize=${WEIR_SANITIZE})
endif()

if(WEIR_HARDEN)
  include(CheckCCompilerFlag)
  set(harden -fstack-protector-strong -fstack-clash-protection)
  # Level 3 exists in gcc 12, clang 15 and glibc 2.35; an older one takes it as level 2 or warns.
  check_c_compiler_flag("-Werror -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3" WEIR_HAVE_FORTIFY_3)
  if(WEIR_HAVE_FORTIFY_3)
    list(APPEND harden -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  else()
    list(APPEND harden -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  endif()
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64")
    list(APPEND harden -fcf-protection)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64")
    list(APPEND harden -mbranch-protection=standard)
  endif()
  target_compile_options(weir_flags INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:${harden}>)
  target_link_options(weir_flags INTERFACE
    -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed)
endif()
