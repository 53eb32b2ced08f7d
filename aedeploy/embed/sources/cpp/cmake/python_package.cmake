# Where the Python that comes first on the PATH has a package, without importing it; empty where it has none.
function(find_python_package name result)
  find_program(PYTHON_EXECUTABLE NAMES python3 python)
  set(folder "")
  if(PYTHON_EXECUTABLE)
    execute_process(
      COMMAND "${PYTHON_EXECUTABLE}" -c
        "from importlib.util import find_spec; print(*find_spec('${name}').submodule_search_locations[:1])"
      OUTPUT_VARIABLE folder
      OUTPUT_STRIP_TRAILING_WHITESPACE
      ERROR_QUIET
    )
  endif()
  set(${result} "${folder}" PARENT_SCOPE)
endfunction()
