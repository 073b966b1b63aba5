# Cortex-M7 with double precision, as on QEMU's mps2-an500.
set(RUNNEL_BOARD_NAME cortex-m7)
set(RUNNEL_BOARD_CPU "-mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-d16")
set(RUNNEL_BOARD_MACHINE mps2-an500)
include(${CMAKE_CURRENT_LIST_DIR}/arm-none-eabi.cmake)
