# weir_dep_llama: the targets llama (C interface) and llama-common (C++: chat templates, schemas)
# from the static build that scripts/deps keeps in the cache. Never sanitized.
include_guard()
include(weir_dep_path)
find_package(Threads REQUIRED)
weir_dep_path(llama prefix)

function(weir_dep_llama_library name)
  add_library(${name} STATIC IMPORTED GLOBAL)
  set_target_properties(${name} PROPERTIES
    IMPORTED_LOCATION ${prefix}/lib/lib${name}.a
    INTERFACE_INCLUDE_DIRECTORIES ${prefix}/include
    IMPORTED_LINK_INTERFACE_LANGUAGES CXX
    INTERFACE_LINK_LIBRARIES "${ARGN}")
endfunction()

weir_dep_llama_library(ggml-base Threads::Threads m)
weir_dep_llama_library(ggml-cpu ggml-base)
weir_dep_llama_library(ggml ggml-cpu ggml-base dl)
weir_dep_llama_library(llama ggml)
weir_dep_llama_library(cpp-httplib Threads::Threads)
weir_dep_llama_library(llama-common-base)
weir_dep_llama_library(llama-common llama-common-base llama cpp-httplib)
set_property(TARGET llama-common APPEND PROPERTY INTERFACE_INCLUDE_DIRECTORIES
  ${prefix}/include/common ${prefix}/include/vendor ${prefix}/include/vendor/nlohmann)
