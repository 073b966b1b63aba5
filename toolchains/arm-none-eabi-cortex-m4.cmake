# Cortex-M4F, as on QEMU's mps2-an386.
set(RUNNEL_BOARD_NAME cortex-m4)
set(RUNNEL_BOARD_CPU "-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16")
set(RUNNEL_BOARD_MACHINE mps2-an386)
include(${CMAKE_CURRENT_LIST_DIR}/arm-none-eabi.cmake)
