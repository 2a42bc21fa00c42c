# finopsBuild.cmake - how our own targets are compiled: language, warnings, sanitizers, ccache.
#
# Owns: finops_configure_target(). Does not own: which targets there are (CMakeLists.txt).
# Invariant: nothing here reaches a target that links finops from outside.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES AND PROJECT_IS_TOP_LEVEL)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)  # for clang-tidy and editors
endif()

# ccache finds an object again in another clone and in another build folder at the same depth: paths
# below the source folder are hashed relative to the working directory.
find_program(FINOPS_CCACHE ccache DOC "Compiler cache; empty for none")
mark_as_advanced(FINOPS_CCACHE)
if(FINOPS_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER AND PROJECT_IS_TOP_LEVEL)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      env "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_ABSSTDERR=1 "${FINOPS_CCACHE}")
endif()

set(finops_warnings
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Woverloaded-virtual
    -Wold-style-cast -Wcast-qual -Wcast-align -Wformat=2 -Wundef -Wextra-semi -Wdouble-promotion)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND finops_warnings
       -Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wsuggest-override)
  if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 sees overlapping copies inside std::string's operator+ (GCC bug 105651).
    list(APPEND finops_warnings -Wno-restrict -Wno-missing-field-initializers)
  endif()
endif()

# Compiles `target` as C++20 with our warnings and, where asked for, as errors and sanitized.
function(finops_configure_target target)
  set_target_properties("${target}" PROPERTIES
    CXX_STANDARD 20
    CXX_STANDARD_REQUIRED ON
    CXX_EXTENSIONS OFF)
  # __FILE__ and debug information name files from the project's root, wherever it was built.
  target_compile_options("${target}" PRIVATE
    ${finops_warnings}
    $<$<BOOL:${FINOPS_WERROR}>:-Werror>
    "-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=")
  if(FINOPS_SANITIZE)
    target_compile_options("${target}" PRIVATE
      "-fsanitize=${FINOPS_SANITIZE}" -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options("${target}" PUBLIC "-fsanitize=${FINOPS_SANITIZE}")
  endif()
endfunction()
