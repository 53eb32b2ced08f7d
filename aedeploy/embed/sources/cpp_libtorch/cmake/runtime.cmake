# TorchScript graphs: in libtorch, from a download or from PyTorch's Python package, which have the same folders.
#
# Not by its CMake package: that of a build with CUDA asks for a CUDA toolkit, also where nothing runs on a GPU.

set(LIBTORCH "" CACHE PATH "libtorch: the folder with include and lib; by default that of PyTorch's Python package")
if(NOT LIBTORCH)
  include(cmake/python_package.cmake)
  find_python_package(torch LIBTORCH)
endif()
foreach(library torch_cpu c10)
  find_library(${library}_LIBRARY ${library} PATHS "${LIBTORCH}/lib" NO_DEFAULT_PATH)
  if(NOT ${library}_LIBRARY OR NOT EXISTS "${LIBTORCH}/include/torch/script.h")
    message(FATAL_ERROR "libtorch is not found: give its folder, or that of PyTorch's Python package, with -DLIBTORCH=…")
  endif()
endforeach()

add_library(autoencoder_runtime OBJECT autoencoder/graph_libtorch.cpp)
target_compile_features(autoencoder_runtime PUBLIC cxx_std_17)
target_include_directories(autoencoder_runtime SYSTEM PRIVATE
  "${LIBTORCH}/include" "${LIBTORCH}/include/torch/csrc/api/include")
target_include_directories(autoencoder_runtime PRIVATE "${PROJECT_SOURCE_DIR}")
target_link_libraries(autoencoder_runtime PUBLIC "${torch_cpu_LIBRARY}" "${c10_LIBRARY}")
set_target_properties(autoencoder_runtime PROPERTIES
  CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
set_warnings(autoencoder_runtime)
target_link_libraries(autoencoder PRIVATE autoencoder_runtime)
