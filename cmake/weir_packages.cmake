# weir_packages: names in LIBS become things to link.
#   a target or a bare library (m, dl)   as it stands
#   llhttp, llama, llama-common          the system's where it is new enough (llhttp), else what
#                                        scripts/deps has built into the cache
#   anything else                        the pkg-config package of that name
# A package is looked for only when a module that exists names it.
find_package(PkgConfig REQUIRED)

if(DEFINED ENV{XDG_CACHE_HOME} AND NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
  set(cache_home $ENV{XDG_CACHE_HOME})
else()
  set(cache_home $ENV{HOME}/.cache)
endif()
set(WEIR_CACHE ${cache_home}/weir CACHE PATH "where scripts/deps keeps what it has built")

# Sets `out_var` to what target_link_libraries takes for the package `name`.
function(weir_package name out_var)
  if(TARGET ${name} OR name MATCHES "^(m|dl|rt|pthread|stdc\\+\\+)$" OR name MATCHES "^-")
    set(${out_var} ${name} PARENT_SCOPE)
    return()
  endif()
  if(name MATCHES "^(llhttp|llama|llama-common)$")
    string(REGEX REPLACE "-common$" "" family ${name})
    include(weir_dep_${family})
    set(${out_var} ${name} PARENT_SCOPE)
    return()
  endif()
  string(MAKE_C_IDENTIFIER "pc_${name}" id)
  if(NOT TARGET PkgConfig::${id})
    pkg_check_modules(${id} REQUIRED IMPORTED_TARGET GLOBAL ${name})
  endif()
  set(${out_var} PkgConfig::${id} PARENT_SCOPE)
endfunction()
