// The product's own trainer as a contestant of train_bench: a process that answers questions on its standard input.
//
// Every contestant speaks so, one line each way: "cnn 8 0.5" asks for steps of 8 images for about half a second, and
// the answer is "<images a second> <KiB>": the rate of the best tenth of that time, in processor time, and the most
// memory that the process ever had resident. "peak" is answered by "<billions of operations a second>". A contestant
// that cannot answers "none".
#pragma once

namespace runnel::bench {

// Serves until the input ends. Forward, backward and update, as in a round: the examples are read from a data set in a
// shuffled order.
void serve_training();

}  // namespace runnel::bench
