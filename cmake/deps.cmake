# Where the headers and libraries come from. Each is looked for in its cache variable, then in .deps (what
# `make setup` provides; versions and hashes are in tools/setup/deps.lock), then on the system.
set(DAYBREAK_DEPS_DIR "${CMAKE_CURRENT_SOURCE_DIR}/.deps" CACHE PATH "Folder that make setup fills")

function(daybreak_find_headers variable file description)
  find_path(${variable} ${file} PATHS ${ARGN} NO_DEFAULT_PATH DOC "${description}")
  find_path(${variable} ${file} PATH_SUFFIXES onnxruntime onnxruntime/core/session webgpu DOC "${description}")
  if(NOT ${variable})
    message(FATAL_ERROR "${description} not found: there is no ${file}. Run 'make setup', or give -D${variable}=DIR.")
  endif()
  message(STATUS "${description}: ${${variable}}")
endfunction()

daybreak_find_headers(DAYBREAK_ORT_INCLUDE_DIR onnxruntime_ep_c_api.h "ONNX Runtime headers (1.27 or newer)"
  "${DAYBREAK_DEPS_DIR}/include/onnxruntime")
daybreak_find_headers(DAYBREAK_WEBGPU_INCLUDE_DIR webgpu/webgpu.h "WebGPU header" "${DAYBREAK_DEPS_DIR}/include")

# Dawn is loaded at run time; a copy of it stands beside the plugin in the build folder and in the wheel.
find_library(DAYBREAK_DAWN_LIBRARY webgpu_dawn PATHS "${DAYBREAK_DEPS_DIR}/lib" NO_DEFAULT_PATH
  DOC "Dawn, shipped beside the plugin")
find_library(DAYBREAK_DAWN_LIBRARY webgpu_dawn)
find_file(DAYBREAK_DAWN_LICENSES DAWN_LICENSES.txt PATHS "${DAYBREAK_DEPS_DIR}/licenses" NO_DEFAULT_PATH
  DOC "Licences of Dawn and of what it contains")

find_package(Threads REQUIRED)

# Compilation through ccache shares results between checkouts of this repository: paths are taken relative to the
# checkout, and the folder of the compilation is no part of the key.
find_program(DAYBREAK_CCACHE ccache)
if(DAYBREAK_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
    ${DAYBREAK_CCACHE})
endif()
