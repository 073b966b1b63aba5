# What every target of the project shares: the language, the warnings, and one function per kind of target.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# A microcontroller: only what is pure is built, and device/port.
string(COMPARE EQUAL "${CMAKE_SYSTEM_NAME}" Generic RUNNEL_MICROCONTROLLER)
if(NOT RUNNEL_MICROCONTROLLER AND NOT RUNNEL_STATIC)
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
endif()

# Not with precompiled headers, of which it keeps nothing: it would only read every file twice.
find_program(RUNNEL_CCACHE ccache)
if(RUNNEL_CCACHE AND NOT RUNNEL_PCH AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${RUNNEL_CCACHE})
endif()

add_library(runnel_options INTERFACE)
# On 32 bits as elsewhere: files beyond 2 GB, and file systems whose inode numbers take 64 bits.
if(CMAKE_SYSTEM_NAME STREQUAL Linux AND CMAKE_SIZEOF_VOID_P EQUAL 4)
  target_compile_definitions(runnel_options INTERFACE _FILE_OFFSET_BITS=64)
endif()
target_include_directories(runnel_options INTERFACE ${PROJECT_SOURCE_DIR})
# -ffp-contract=off: a fused multiply-add on one board and not on another would give two different models.
target_compile_options(runnel_options INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wpedantic -Werror -ffp-contract=off
  # gcc 12 sees overlapping copies in std::string's operator+ where there are none (its bug 105651).
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>)
# Sizes that are part of types: less for a board with little memory. Empty: as runtime/plan and runtime/wire say.
set(RUNNEL_LAYERS_MAX "" CACHE STRING "Layers that a model may have")
set(RUNNEL_TENSORS_MAX "" CACHE STRING "Tensors that a model may have")
set(RUNNEL_OUTBOX_ENTRIES "" CACHE STRING "Updates that may wait on a device")
set(RUNNEL_JOURNAL_KEYS "" CACHE STRING "Records in a journal; an outbox takes three, and one for each update that waits")
set(RUNNEL_FRAME_BYTES "" CACHE STRING "Longest frame that this build makes, and that it asks its peer for")
foreach(size RUNNEL_LAYERS_MAX RUNNEL_TENSORS_MAX RUNNEL_OUTBOX_ENTRIES RUNNEL_JOURNAL_KEYS RUNNEL_FRAME_BYTES)
  if(${size})
    target_compile_definitions(runnel_options INTERFACE ${size}=${${size}})
  endif()
endforeach()
if(RUNNEL_SANITIZE)
  target_compile_options(runnel_options INTERFACE -fsanitize=${RUNNEL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  # The core has no RTTI, which the check of dynamic types would need on both sides.
  if(RUNNEL_SANITIZE MATCHES undefined)
    target_compile_options(runnel_options INTERFACE -fno-sanitize=vptr)
  endif()
  target_link_options(runnel_options INTERFACE -fsanitize=${RUNNEL_SANITIZE})
endif()

# Compiling takes longer than running for whatever is not a kernel: that is optimised little, and with sanitizers not at all.
# At -O1 gcc 12 sees more overruns in std::string's operator+ that are none (its bugs 105329 and 105651).
set(RUNNEL_LITTLE_OPTIMISED $<$<CONFIG:Release>:-O1>
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-array-bounds;-Wno-stringop-overflow>)
set(RUNNEL_TEST_OPTIONS ${RUNNEL_LITTLE_OPTIMISED})
set(RUNNEL_COLD_OPTIONS)   # what is neither a kernel nor run once a frame: options, files that people write, reports
set(RUNNEL_SHELL_OPTIONS)  # whatever else is not the core
if(RUNNEL_SANITIZE)
  set(RUNNEL_COLD_OPTIONS -O0)
  set(RUNNEL_SHELL_OPTIONS -O0)
  set(RUNNEL_TEST_OPTIONS -O0)
elseif(NOT RUNNEL_STATIC)
  set(RUNNEL_COLD_OPTIONS ${RUNNEL_LITTLE_OPTIMISED})
endif()

# Tests count in 64 bits what on a 32-bit board fits a size_t; the product's own code is held to narrowing there too.
add_library(runnel_test_options INTERFACE)
if(CMAKE_SIZEOF_VOID_P EQUAL 4)
  target_compile_options(runnel_test_options INTERFACE -Wno-conversion -Wno-sign-compare)
endif()

# The pure core: neither exceptions nor RTTI, so that it also fits a microcontroller.
add_library(runnel_core_options INTERFACE)
target_link_libraries(runnel_core_options INTERFACE runnel_options)
target_compile_options(runnel_core_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti>)
if(RUNNEL_STATIC)
  target_compile_options(runnel_core_options INTERFACE -fno-unwind-tables -fno-asynchronous-unwind-tables)
endif()

# runnel_library(NAME [CORE|COLD] SOURCES a.cc ... [LINKS runnel_base ...] [PRIVATE_LINKS ...])
# A folder is one library, and LINKS is the whole list of rooms it may include.
function(runnel_library name)
  cmake_parse_arguments(ARG "CORE;COLD" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  if(ARG_CORE)
    target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:runnel_core_options>)
  else()
    target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:runnel_options>)
    if(ARG_COLD)
      target_compile_options(${name} PRIVATE ${RUNNEL_COLD_OPTIONS})
    else()
      target_compile_options(${name} PRIVATE ${RUNNEL_SHELL_OPTIONS})
    endif()
  endif()
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS})
endfunction()

# runnel_program(NAME SOURCES ... LINKS ...)
function(runnel_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE runnel_options ${ARG_LINKS})
  target_compile_options(${name} PRIVATE ${RUNNEL_COLD_OPTIONS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endfunction()

# runnel_test(NAME SOURCES ... LINKS ... [LABELS ...] [TIMEOUT seconds]): a GoogleTest program, one CTest entry per program.
function(runnel_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINKS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(CMAKE_CROSSCOMPILING)
    math(EXPR ARG_TIMEOUT "20 * ${ARG_TIMEOUT}")  # an emulator's time
  elseif(RUNNEL_SANITIZE)
    math(EXPR ARG_TIMEOUT "5 * ${ARG_TIMEOUT}")  # checked and hardly optimised, on a machine that may be busy
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE runnel_options runnel_test_options ${ARG_LINKS} GTest::gmock GTest::gtest_main)
  target_compile_options(${name} PRIVATE ${RUNNEL_TEST_OPTIONS})
  if(TARGET runnel_test_headers)
    target_precompile_headers(${name} REUSE_FROM runnel_test_headers)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
endfunction()
