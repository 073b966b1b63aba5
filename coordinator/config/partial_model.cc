#include "coordinator/config/partial_model.h"

namespace runnel::coordinator {

Result<plan::ModelLayout> partial_layout(const plan::ModelSpec& spec) {
  plan::ModelSpec whole = spec;
  plan::LayerSpec pool;
  pool.kind = plan::LayerKind::kGlobalAvgPool;
  plan::LayerSpec dense;
  dense.kind = plan::LayerKind::kDense;
  dense.units = 2;
  if (!whole.layers.push_back(pool) || !whole.layers.push_back(dense))
    return fail(Error::kLimit, "more than %u layers", plan::kLayersMax - 2);
  whole.classes = dense.units;
  whole.loss = {};
  return plan::make_layout(whole);
}

}  // namespace runnel::coordinator
