# What every target of the project shares: the language, the warnings, and one function per kind of target.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

find_program(RUNNEL_CCACHE ccache)
if(RUNNEL_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${RUNNEL_CCACHE})
endif()

add_library(runnel_options INTERFACE)
target_include_directories(runnel_options INTERFACE ${PROJECT_SOURCE_DIR})
# -ffp-contract=off: a fused multiply-add on one board and not on another would give two different models.
target_compile_options(runnel_options INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wpedantic -Werror -ffp-contract=off
  # gcc 12 sees overlapping copies in std::string's operator+ where there are none (its bug 105651).
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>)
if(RUNNEL_SANITIZE)
  target_compile_options(runnel_options INTERFACE -fsanitize=${RUNNEL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  # The core has no RTTI, which the check of dynamic types would need on both sides.
  if(RUNNEL_SANITIZE MATCHES undefined)
    target_compile_options(runnel_options INTERFACE -fno-sanitize=vptr)
  endif()
  target_link_options(runnel_options INTERFACE -fsanitize=${RUNNEL_SANITIZE})
endif()

# The pure core: neither exceptions nor RTTI, so that it also fits a microcontroller.
add_library(runnel_core_options INTERFACE)
target_link_libraries(runnel_core_options INTERFACE runnel_options)
target_compile_options(runnel_core_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti>)

# runnel_library(NAME [CORE] SOURCES a.cc ... [LINKS runnel_base ...] [PRIVATE_LINKS ...])
# A folder is one library, and LINKS is the whole list of rooms it may include.
function(runnel_library name)
  cmake_parse_arguments(ARG "CORE" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  if(ARG_CORE)
    target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:runnel_core_options>)
  else()
    target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:runnel_options>)
  endif()
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS})
endfunction()

# runnel_program(NAME SOURCES ... LINKS ...)
function(runnel_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE runnel_options ${ARG_LINKS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endfunction()

# runnel_test(NAME SOURCES ... LINKS ... [LABELS ...] [TIMEOUT seconds]): a GoogleTest program, one CTest entry per program.
function(runnel_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINKS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE runnel_options ${ARG_LINKS} GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
endfunction()
