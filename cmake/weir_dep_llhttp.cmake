# weir_dep_llhttp: the target llhttp, version 9 or newer: the system's, else of the cache.
include_guard()
include(weir_dep_path)
pkg_check_modules(pc_llhttp QUIET IMPORTED_TARGET GLOBAL "libllhttp>=9")
if(pc_llhttp_FOUND)
  add_library(llhttp ALIAS PkgConfig::pc_llhttp)
else()
  weir_dep_path(llhttp prefix)
  add_library(llhttp STATIC IMPORTED GLOBAL)
  set_target_properties(llhttp PROPERTIES
    IMPORTED_LOCATION ${prefix}/lib/libllhttp.a
    INTERFACE_INCLUDE_DIRECTORIES ${prefix}/include)
endif()
