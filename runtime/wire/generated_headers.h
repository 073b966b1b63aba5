// All generated schema headers, for this folder only.
#pragma once

#include "schemas/delta_generated.h"
#include "schemas/frame_generated.h"
#include "schemas/model_generated.h"
#include "schemas/update_generated.h"
