// The shapes of a model that is still being put together.
#pragma once

#include "runtime/base/result.h"
#include "runtime/plan/model_spec.h"

namespace runnel::coordinator {

// The layout of `spec`'s layers, whatever its classes and its loss are and although it may end anywhere: two layers are
// added that fit after anything, so that a refusal is about one of `spec`'s own. kLimit: they do not fit.
Result<plan::ModelLayout> partial_layout(const plan::ModelSpec& spec);

}  // namespace runnel::coordinator
