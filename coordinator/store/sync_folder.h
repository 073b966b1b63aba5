// Makes the name of a new file as durable as what is in it.
#pragma once

#include <string>

#include "runtime/base/error.h"

namespace runnel::coordinator {

// Syncs the folder that `path` lies in. kIo, with the folder's name.
Failure sync_folder_of(const std::string& path);

}  // namespace runnel::coordinator
