# Bare-metal Arm with newlib (Debian: gcc-arm-none-eabi, libnewlib-arm-none-eabi, libstdc++-arm-none-eabi-newlib).
# Included by the toolchain file of one processor, which sets RUNNEL_BOARD_NAME, RUNNEL_BOARD_CPU
# (flags) and RUNNEL_BOARD_MACHINE (QEMU's).
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_CXX_COMPILER arm-none-eabi-g++)
set(CMAKE_SIZE arm-none-eabi-size)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY) # there is nothing to link a program with before device/port is built
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
# One section a function, so that the linker leaves out what nobody calls.
set(CMAKE_C_FLAGS_INIT "-mthumb ${RUNNEL_BOARD_CPU} -ffunction-sections -fdata-sections")
# newlib's 32-bit integers are longs, of the same size; ints, as everywhere else, spare the sources what nothing needs.
string(APPEND CMAKE_C_FLAGS_INIT " -U__INT32_TYPE__ -D__INT32_TYPE__=int -U__UINT32_TYPE__ -D__UINT32_TYPE__=unsigned")
set(CMAKE_CXX_FLAGS_INIT "${CMAKE_C_FLAGS_INIT} -fno-exceptions -fno-rtti -fno-threadsafe-statics -fno-use-cxa-atexit -Wno-psabi")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,--gc-sections")
# Test programs run on the emulated board; what they print and return goes through semihosting.
set(CMAKE_CROSSCOMPILING_EMULATOR
  qemu-system-arm -M ${RUNNEL_BOARD_MACHINE} -display none -monitor none -serial null
  -semihosting-config enable=on,target=native -kernel)
