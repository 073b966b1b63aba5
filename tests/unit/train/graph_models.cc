#include "tests/unit/train/graph_models.h"

namespace runnel::train {
namespace {

using plan::LayerKind;
using plan::LossKind;
using plan::TargetKind;

// A layer between a convolution and a head.
plan::ModelSpec between(const plan::LayerSpec& layer) {
  return model({2, 5, 4}, 3, {conv(4, {3, 3}, {1, 1}, {1, 1}), layer, flatten(), dense(3)});
}

}  // namespace

std::vector<GraphCase> chain_cases() {
  const plan::Extent same{1, 1};
  std::vector<GraphCase> cases = {
      {"dense", model({5}, 3, {dense(3)})},
      {"dense of one input", model({1}, 2, {dense(2)})},
      {"mlp", model({6}, 4, {dense(9), relu(), dense(7), relu(), dense(4)})},
      {"linear on linear", model({4}, 3, {dense(5), dense(3)})},
      {"relu twice", model({4}, 3, {dense(8), relu(), relu(), dense(3)})},
      {"relu on the logits", model({6}, 3, {dense(3), relu()})},
      {"relu on the input", model({6}, 3, {relu(), dense(3)})},
      {"flatten between", model({2, 3, 3}, 3, {flatten(), dense(4), flatten(), relu(), dense(3)})},
      {"conv", model({1, 5, 5}, 3, {conv(2, {3, 3}), flatten(), dense(3)})},
      {"conv alone", model({2, 4, 3}, 3, {conv(3, {4, 3}), flatten()})},
      {"conv, strided", model({2, 7, 8}, 3, {conv(3, {3, 3}, {2, 3}, same), flatten(), dense(3)})},
      {"conv, rectangular", model({3, 4, 9}, 3, {conv(2, {1, 5}, {1, 2}, {0, 2}), flatten(), dense(3)})},
      {"conv on conv",
       model({1, 7, 7}, 3, {conv(3, {3, 3}, {1, 1}, same), conv(2, {3, 2}, {2, 1}), flatten(), dense(3)})},
      {"conv, relu, conv",
       model({2, 6, 6}, 3, {conv(3, {3, 3}), relu(), conv(2, {2, 2}), relu(), flatten(), dense(3)})},
      {"conv in groups", between(grouped_conv(6, {3, 3}, 2, same))},
      {"depthwise", between(grouped_conv(8, {3, 3}, 4, same))},
      {"pointwise", between(grouped_conv(5, {1, 1}, 1, {0, 0}, false))},
      {"max pool", between(max_pool({2, 2}, {2, 2}))},
      {"max pool, overlapping", between(max_pool({3, 3}, {2, 1}))},
      {"max pool, then relu",
       model({1, 6, 6}, 3, {conv(2, {3, 3}), max_pool({2, 2}, {2, 2}), relu(), flatten(), dense(3)})},
      {"max pool of the input", model({2, 5, 5}, 3, {max_pool({2, 2}, {2, 2}), conv(2, {2, 2}), flatten(), dense(3)})},
      {"avg pool", between(avg_pool({2, 2}, {2, 2}))},
      {"avg pool, overlapping", between(avg_pool({3, 2}, {1, 1}))},
      {"avg pool over all", model({2, 5, 5}, 4, {conv(4, {2, 2}), relu(), avg_pool({4, 4}, {1, 1}), flatten()})},
      {"global avg pool", between(plain(LayerKind::kGlobalAvgPool))},
      {"global max pool", between(plain(LayerKind::kGlobalMaxPool))},
      {"relu6", between(plain(LayerKind::kRelu6))},
      {"leaky relu", between(plain(LayerKind::kLeakyRelu, 0.1F))},
      {"tanh", between(plain(LayerKind::kTanh))},
      {"sigmoid", between(plain(LayerKind::kSigmoid))},
      {"gelu", between(plain(LayerKind::kGelu))},
      {"batch norm", between(batch_norm())},
      {"group norm", between(group_norm(2))},
      {"layer norm", between(layer_norm())},
      {"reshape",
       model({2, 5, 4}, 3, {conv(4, {3, 3}, {1, 1}, same), reshape({8, 2, 5}), conv(2, {2, 2}), flatten(), dense(3)})},
      {"tanh, sigmoid", model({4}, 3, {dense(6), plain(LayerKind::kTanh), plain(LayerKind::kSigmoid), dense(3)})},
      {"embedding", model({1, 1, 5}, 3, {embedding(7, 4), plain(LayerKind::kGlobalAvgPool), dense(3)})},
      {"gru, last step", model({3, 1, 5}, 3, {recurrent(LayerKind::kGru, 4, false), dense(3)})},
      {"gru, every step", model({1, 1, 5}, 6, {embedding(6, 3), recurrent(LayerKind::kGru, 4, true), conv(6, {1, 1})})},
      {"lstm, last step", model({3, 1, 5}, 3, {recurrent(LayerKind::kLstm, 4, false), dense(3)})},
      {"lstm, every step, no bias",
       model({3, 1, 4}, 3, {recurrent(LayerKind::kLstm, 4, true, false), flatten(), dense(3)})},
      {"gru on gru",
       model({3, 1, 4}, 3, {recurrent(LayerKind::kGru, 4, true), recurrent(LayerKind::kGru, 5, false), dense(3)})},
      {"cnn", model({2, 10, 8}, 4,
                    {conv(3, {3, 3}, {1, 1}, same), relu(), max_pool({2, 2}, {2, 2}), conv(4, {3, 3}, {1, 1}, same),
                     relu(), max_pool({2, 2}, {2, 2}), flatten(), dense(6), relu(), dense(4)})},
      {"mse",
       with_loss(model({4}, 2, {dense(5), plain(LayerKind::kTanh), dense(2)}), LossKind::kMse, TargetKind::kValues)},
      {"huber", with_loss(model({4}, 2, {dense(5), relu(), dense(2)}), LossKind::kHuber, TargetKind::kValues)},
      {"binary",
       with_loss(model({4}, 2, {dense(5), relu(), dense(2)}), LossKind::kBinaryCrossEntropy, TargetKind::kValues)},
      {"autoencoder",
       with_loss(model({6}, 6, {dense(3), plain(LayerKind::kTanh), dense(6)}), LossKind::kMse, TargetKind::kInput)},
      {"binary autoencoder",
       with_loss(model({2, 3, 3}, 2, {conv(3, {3, 3}, {1, 1}, same), relu(), conv(2, {3, 3}, {1, 1}, same)}),
                 LossKind::kBinaryCrossEntropy, TargetKind::kInput)},
      {"labels at positions", model({2, 3, 4}, 3, {conv(4, {3, 3}, {1, 1}, same), relu(), conv(3, {1, 1})})},
      {"frozen backbone",
       model({2, 5, 4}, 3,
             {kept(conv(4, {3, 3}), plan::Sharing::kFrozen), relu(), flatten(), dense(4), relu(), dense(3)})},
      {"frozen in the middle", model({2, 5, 4}, 3,
                                     {conv(3, {3, 3}), relu(), kept(conv(4, {2, 2}), plan::Sharing::kFrozen),
                                      kept(batch_norm(), plan::Sharing::kFrozen), relu(), flatten(), dense(3)})},
      {"frozen norms and gru", model({3, 1, 4}, 3,
                                     {kept(layer_norm(), plan::Sharing::kFrozen), recurrent(LayerKind::kGru, 3, true),
                                      kept(recurrent(LayerKind::kGru, 3, true), plan::Sharing::kFrozen),
                                      kept(layer_norm(), plan::Sharing::kFrozen), flatten(), dense(3)})},
      {"local head", model({4}, 3, {dense(5), relu(), kept(dense(3), plan::Sharing::kLocal)})},
  };
  cases[0].spec.loss.label_smoothing = 0.2F;
  return cases;
}

std::vector<GraphCase> graph_cases() {
  const plan::Extent same{1, 1};
  const plan::LayerSpec conv4 = conv(4, {3, 3}, {1, 1}, same);
  const plan::LayerSpec add = plain(LayerKind::kAdd);
  const plan::LayerSpec concat = plain(LayerKind::kConcat);
  return {
      {"residual", model({2, 4, 4}, 3, {conv4, relu(), conv4, from(add, {3, 2}), relu(), flatten(), dense(3)})},
      {"residual of the input", model({4, 4, 4}, 3, {conv4, from(add, {0, 1}), flatten(), dense(3)})},
      {"residual, norms", model({2, 4, 4}, 3,
                                {conv4, group_norm(2), relu(), conv4, group_norm(2), relu(), conv4, group_norm(4),
                                 from(add, {8, 3}), relu(), plain(LayerKind::kGlobalAvgPool), dense(3)})},
      {"twice itself", model({4}, 3, {dense(5), from(add, {1, 1}), dense(3)})},
      {"sum of four", model({4}, 3,
                            {dense(5), relu(), from(dense(5), {0}), from(plain(LayerKind::kTanh), {2}),
                             from(add, {2, 3, 4, 1}), dense(3)})},
      {"two readers of a relu",
       model({4}, 3, {dense(5), relu(), dense(5), from(dense(5), {2}), from(add, {3, 4}), dense(3)})},
      {"in place beside a reader",
       model({4}, 3, {dense(5), from(relu(), {1}), from(dense(5), {1}), from(add, {2, 3}), dense(3)})},
      {"both activations of one value", model({4}, 3,
                                              {dense(5), from(plain(LayerKind::kTanh), {1}),
                                               from(plain(LayerKind::kSigmoid), {1}), from(add, {2, 3}), dense(3)})},
      {"sum, then both ways", model({4}, 3,
                                    {dense(5), from(dense(5), {0}), from(add, {1, 2}), from(relu(), {3}),
                                     from(plain(LayerKind::kGelu), {3}), from(concat, {4, 5}), dense(3)})},
      {"concat", model({2, 4, 4}, 3,
                       {conv4, from(conv(2, {3, 3}, {1, 1}, same), {0}), from(concat, {1, 2}), relu(), conv(3, {2, 2}),
                        flatten(), dense(3)})},
      {"concat of one twice, and the input",
       model({2, 4, 4}, 3, {conv4, from(concat, {1, 0, 1}), conv(3, {2, 2}), flatten(), dense(3)})},
      {"a view and what it views", model({2, 4, 2}, 3,
                                         {conv(2, {3, 3}, {1, 1}, same), flatten(), dense(16), reshape({2, 4, 2}),
                                          from(add, {4, 1}), flatten(), dense(3)})},
      {"view, then in place",
       model({2, 4, 2}, 3, {conv(2, {3, 3}, {1, 1}, same), flatten(), plain(LayerKind::kTanh), dense(3)})},
      {"nobody reads a rectifier", model({4}, 3, {dense(5), from(relu(), {1}), from(dense(3), {1})})},
      {"nobody reads a branch", model({4}, 3, {dense(5), from(dense(7), {1}), from(relu(), {1}), dense(3)})},
      {"skip over a recurrent layer",
       model({1, 1, 5}, 4,
             {embedding(5, 4), recurrent(LayerKind::kGru, 4, true), from(add, {1, 2}),
              recurrent(LayerKind::kLstm, 4, true), from(add, {3, 4}), conv(4, {1, 1})})},
      {"inverted residual", model({3, 5, 5}, 3,
                                  {grouped_conv(6, {1, 1}, 1, {0, 0}, false), group_norm(3), plain(LayerKind::kRelu6),
                                   grouped_conv(6, {3, 3}, 6, same, false), group_norm(3), plain(LayerKind::kRelu6),
                                   grouped_conv(3, {1, 1}, 1, {0, 0}, false), group_norm(1), from(add, {8, 0}),
                                   plain(LayerKind::kGlobalAvgPool), dense(3)})},
      {"batch norm, residual",
       model({2, 4, 4}, 3,
             {conv4, batch_norm(), relu(), conv4, batch_norm(), from(add, {5, 3}), relu(), flatten(), dense(3)})},
  };
}

GraphCase random_graph(uint64_t seed, uint32_t layers) {
  Rng rng(seed);
  plan::ModelSpec spec;
  spec.input = {2, 4, 3};
  spec.classes = 3;
  std::vector<plan::Shape> shapes{spec.input};  // of all values so far
  EXPECT_TRUE(spec.layers.push_back(conv(2, {3, 3}, {1, 1}, {1, 1})));
  shapes.push_back(spec.input);
  while (spec.layers.size() < layers) {
    const auto last = static_cast<uint16_t>(shapes.size() - 1);
    // Mostly the layer before; now and then something earlier.
    const auto source = static_cast<uint16_t>(rng.below(3) == 0 ? rng.below(shapes.size()) : last);
    const plan::Shape& in = shapes[source];
    plan::LayerSpec layer;
    switch (rng.below(11)) {
      case 0:
      case 1:
        layer = conv(static_cast<uint32_t>(2 + 2 * rng.below(2)), {3, 3}, {1, 1}, {1, 1});
        break;
      case 2:
        layer = grouped_conv(in.channels, {3, 3}, in.channels, {1, 1}, rng.below(2) == 0);
        break;
      case 3:
        layer = relu();
        break;
      case 4:
        layer = plain(LayerKind::kTanh);
        break;
      case 5:
        layer = plain(LayerKind::kGelu);
        break;
      case 6:
        layer = group_norm(2);
        break;
      case 7:
        layer = batch_norm();
        break;
      case 8:
        layer = reshape({in.channels, in.width, in.height});
        break;
      default: {
        layer = plain(rng.below(2) == 0 ? LayerKind::kAdd : LayerKind::kConcat);
        const bool concat = layer.kind == LayerKind::kConcat;
        std::vector<uint16_t> fitting;
        for (uint16_t value = 0; value < shapes.size(); ++value) {
          if (concat ? shapes[value].height == in.height && shapes[value].channels + in.channels <= 8
                     : shapes[value] == in)
            fitting.push_back(value);
        }
        if (fitting.empty()) continue;
        layer = from(layer, {fitting[rng.below(fitting.size())], source});
        break;
      }
    }
    if (layer.inputs.empty()) layer = from(layer, {source});
    plan::ModelSpec longer = spec;
    EXPECT_TRUE(longer.layers.push_back(layer));
    plan::Shape out = in;
    if (layer.kind == LayerKind::kConv2d) out.channels = layer.units;
    if (layer.kind == LayerKind::kReshape) std::swap(out.height, out.width);
    if (layer.kind == LayerKind::kConcat) out.channels = shapes[layer.inputs[0]].channels + in.channels;
    spec = longer;
    shapes.push_back(out);
  }
  EXPECT_TRUE(spec.layers.push_back(flatten()));
  EXPECT_TRUE(spec.layers.push_back(dense(3)));
  return {"random graph", spec};
}

}  // namespace runnel::train
