# weir_dep_onnx: WEIR_ONNX says whether scripts/deps has ONNX Runtime's header and library in its
# cache. The library is not linked: weir-infer opens it when a model asks for it, and an installed
# Weir has its own copy.
include_guard()
option(WEIR_WITH_ONNX "models in ONNX, where scripts/deps onnxruntime could bring the library" ON)
execute_process(COMMAND ${PROJECT_SOURCE_DIR}/scripts/deps --path onnxruntime
                OUTPUT_VARIABLE onnx_path OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE result)
set(WEIR_ONNX OFF)
if(WEIR_WITH_ONNX AND result EQUAL 0)
  set(WEIR_ONNX ON)
  set(WEIR_ONNX_INCLUDE ${onnx_path}/include)
  set(WEIR_ONNX_LIBRARY ${onnx_path}/lib/libonnxruntime.so.1)
else()
  message(STATUS "models in ONNX are off: scripts/deps onnxruntime brings what they need")
endif()
