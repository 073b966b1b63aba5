# Stands for Highway in a static build. Its library only finds out which sets of vector instructions the processor has;
# Debian has no archive of it, and an ARM board has one set to choose from, which the compiler knows.
if(NOT TARGET hwy::hwy)
  find_path(RUNNEL_HIGHWAY_INCLUDE_DIR hwy/highway.h REQUIRED)
  add_library(hwy::hwy INTERFACE IMPORTED)
endif()
