# weir_module: a folder of src as one static library, with its tests and fuzz targets beside it.
#
#   weir_module(http
#     SOURCES http_parser.c http_server.c   # of this folder
#     DEPS base loop                        # modules whose headers it may include; earlier ones only
#     LIBS libuv openssl llhttp             # see weir_packages.cmake
#     TESTS http_parser_test.c              # one cmocka program each, ctest label `unit`
#     FUZZERS http_parser_fuzz.c            # one LLVMFuzzerTestOneInput each, ctest label `fuzz`
#     TEST_SOURCES http_test_pair.c         # helpers that every test and fuzz target of it links
#     TEST_LIBS ...)                        # packages that only the tests need
#
# Include folders are private: the library and its tests see their own folder and those of DEPS,
# nothing passed on. Linking is passed on, as a static library must.
include_guard()

# Headers, flags and libraries that a target of module `module` sees.
function(weir_target_uses target module)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "DEPS;LIBS")
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  foreach(dep IN LISTS arg_DEPS)
    if(NOT TARGET weir_${dep})
      message(FATAL_ERROR "module ${module} names ${dep}, which is no earlier module (docs/architecture.md)")
    endif()
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src/${dep})
    target_link_libraries(${target} PRIVATE weir_${dep})
  endforeach()
  foreach(lib IN LISTS arg_LIBS)
    weir_package(${lib} linked)
    target_link_libraries(${target} PRIVATE ${linked})
  endforeach()
  target_link_libraries(${target} PRIVATE weir_flags)
endfunction()

function(weir_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" ""
    "SOURCES;DEPS;LIBS;TESTS;FUZZERS;TEST_SOURCES;TEST_LIBS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "weir_module(${name}): what is ${arg_UNPARSED_ARGUMENTS}?")
  endif()
  add_library(weir_${name} STATIC ${arg_SOURCES})
  weir_target_uses(weir_${name} ${name} DEPS ${arg_DEPS} LIBS ${arg_LIBS})

  if(NOT BUILD_TESTING)
    return()
  endif()
  foreach(source IN LISTS arg_TESTS)
    cmake_path(GET source STEM test)
    add_executable(${test} ${source} ${arg_TEST_SOURCES})
    target_link_libraries(${test} PRIVATE weir_${name})
    weir_target_uses(${test} ${name} DEPS ${arg_DEPS} LIBS ${arg_LIBS} ${arg_TEST_LIBS} cmocka)
    add_test(NAME ${test} COMMAND ${test} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${test} PROPERTIES LABELS unit TIMEOUT 120)
  endforeach()
  foreach(source IN LISTS arg_FUZZERS)
    weir_fuzzer(${name} ${source}
      SOURCES ${arg_TEST_SOURCES} DEPS ${arg_DEPS} LIBS ${arg_LIBS} ${arg_TEST_LIBS})
  endforeach()
endfunction()

# A fuzz target: by libFuzzer in the preset `fuzz`, else with a main() that replays its corpus,
# tests/corpus/<target>, once. ctest replays the corpus in every preset.
function(weir_fuzzer module source)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "SOURCES;DEPS;LIBS")
  cmake_path(GET source STEM target)
  set(corpus ${PROJECT_SOURCE_DIR}/tests/corpus/${target})
  add_executable(${target} ${source} ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE weir_${module})
  weir_target_uses(${target} ${module} DEPS ${arg_DEPS} LIBS ${arg_LIBS})
  if(WEIR_FUZZ)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    file(MAKE_DIRECTORY ${corpus})
    add_test(NAME ${target} COMMAND ${target} -runs=0 ${corpus})
    set_property(GLOBAL APPEND PROPERTY WEIR_FUZZERS ${target})
  else()
    target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/fuzz_replay.c)
    add_test(NAME ${target} COMMAND ${target} ${corpus})
  endif()
  set_tests_properties(${target} PROPERTIES LABELS fuzz TIMEOUT 120)
endfunction()

# A program in build/<preset>/bin:  weir_program(weir SOURCES main.c DEPS api cli LIBS ...)
function(weir_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPS;LIBS")
  add_executable(${name} ${arg_SOURCES})
  weir_target_uses(${name} ${name} DEPS ${arg_DEPS} LIBS ${arg_LIBS})
  install(TARGETS ${name} RUNTIME DESTINATION bin)
endfunction()
