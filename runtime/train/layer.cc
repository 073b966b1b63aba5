#include "runtime/train/layer.h"

#include "runtime/train/layer_sizes.h"

namespace runnel::train {

using plan::LayerKind;

bool is_view(LayerKind kind) {
  return kind == LayerKind::kFlatten || kind == LayerKind::kReshape;
}

bool works_in_place(LayerKind kind) {
  switch (kind) {
    case LayerKind::kRelu:
    case LayerKind::kRelu6:
    case LayerKind::kLeakyRelu:
    case LayerKind::kTanh:
    case LayerKind::kSigmoid:
    case LayerKind::kDropout:
      return true;
    default:
      return false;
  }
}

bool backward_reads_input(LayerKind kind) {
  switch (kind) {
    case LayerKind::kDense:
    case LayerKind::kConv2d:
    case LayerKind::kMaxPool2d:
    case LayerKind::kGlobalMaxPool:
    case LayerKind::kGelu:
    case LayerKind::kBatchNorm:
    case LayerKind::kGroupNorm:
    case LayerKind::kLayerNorm:
    case LayerKind::kEmbedding:
    case LayerKind::kGru:
    case LayerKind::kLstm:
      return true;
    default:
      return false;
  }
}

bool backward_reads_output(LayerKind kind) {
  return works_in_place(kind) && kind != LayerKind::kDropout;
}

size_t saved_floats(const Layer& layer, size_t examples) {
  switch (layer.kind()) {
    case LayerKind::kBatchNorm:
      return layer.frozen() ? 0 : tensor::batch_norm_saved(batch_norm_of(layer));
    case LayerKind::kGroupNorm:
      return tensor::group_norm_saved(group_norm_of(layer), examples);
    case LayerKind::kLayerNorm:
      return tensor::layer_norm_saved(layer_norm_of(layer), examples);
    case LayerKind::kGru:
      return tensor::gru_saved(gru_of(layer), examples);
    case LayerKind::kLstm:
      return tensor::lstm_saved(lstm_of(layer), examples);
    default:
      return 0;
  }
}

size_t workspace_floats(const Layer& layer, size_t examples) {
  switch (layer.kind()) {
    case LayerKind::kDense:
      return tensor::dense_workspace(dense_of(layer), examples);
    case LayerKind::kConv2d:
      return tensor::conv2d_workspace(conv2d_of(layer));
    case LayerKind::kGru:
      return tensor::gru_workspace(gru_of(layer), examples);
    case LayerKind::kLstm:
      return tensor::lstm_workspace(lstm_of(layer), examples);
    default:
      return 0;
  }
}

}  // namespace runnel::train
