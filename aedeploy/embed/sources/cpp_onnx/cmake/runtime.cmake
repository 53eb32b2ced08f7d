# ONNX graphs: in OpenVINO, or in onnxruntime.

set(BACKEND openvino CACHE STRING "openvino or onnxruntime")
set_property(CACHE BACKEND PROPERTY STRINGS openvino onnxruntime)
if(NOT BACKEND MATCHES "^(openvino|onnxruntime)$")
  message(FATAL_ERROR "BACKEND is openvino or onnxruntime, not ${BACKEND}")
endif()

add_library(autoencoder_runtime OBJECT "autoencoder/graph_${BACKEND}.cpp")
target_compile_features(autoencoder_runtime PUBLIC cxx_std_17)
target_include_directories(autoencoder_runtime PRIVATE "${PROJECT_SOURCE_DIR}")
set_target_properties(autoencoder_runtime PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
set_warnings(autoencoder_runtime)
target_link_libraries(autoencoder PRIVATE autoencoder_runtime)

if(BACKEND STREQUAL "openvino")
  include(cmake/python_package.cmake)
  find_python_package(openvino openvino_package)
  find_package(OpenVINO QUIET COMPONENTS Runtime PATHS "${openvino_package}/cmake")
  if(NOT OpenVINO_FOUND)
    message(FATAL_ERROR "OpenVINO is not found: pip install openvino, or give the folder of its OpenVINOConfig.cmake "
      "with -DOpenVINO_DIR=…")
  endif()
  target_link_libraries(autoencoder_runtime PUBLIC openvino::runtime)
else()
  set(ONNXRUNTIME_ROOT "$ENV{ONNXRUNTIME_ROOT}" CACHE PATH "An onnxruntime release: the folder with include and lib")
  find_path(ONNXRUNTIME_INCLUDE_DIR onnxruntime_cxx_api.h
    HINTS "${ONNXRUNTIME_ROOT}" PATH_SUFFIXES include include/onnxruntime onnxruntime)
  find_library(ONNXRUNTIME_LIBRARY onnxruntime HINTS "${ONNXRUNTIME_ROOT}" PATH_SUFFIXES lib)
  if(NOT ONNXRUNTIME_INCLUDE_DIR OR NOT ONNXRUNTIME_LIBRARY)
    message(FATAL_ERROR "onnxruntime is not found: unpack a release of it for C++, and give its folder with "
      "-DONNXRUNTIME_ROOT=… (Debian 13 has it as libonnxruntime-dev)")
  endif()
  target_include_directories(autoencoder_runtime SYSTEM PRIVATE "${ONNXRUNTIME_INCLUDE_DIR}")
  target_link_libraries(autoencoder_runtime PUBLIC "${ONNXRUNTIME_LIBRARY}")
endif()
