# weir_dep_path: where scripts/deps keeps an entry of its cache; ends the configuration with what
# to do when it is not there.
include_guard()
function(weir_dep_path name out_var)
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/scripts/deps --path ${name}
                  OUTPUT_VARIABLE path OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${name} is not in the cache: run scripts/deps ${name}")
  endif()
  set(${out_var} ${path} PARENT_SCOPE)
endfunction()
