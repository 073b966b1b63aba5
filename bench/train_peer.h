// What the other libraries' programs share: the questions and answers of train_server.h.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>

#include "bench/stopwatch.h"

namespace runnel::bench {

// Images a second of the best tenth of about `seconds`, step(i) being one step of `batch` images.
template <typename Step>
double peer_rate(size_t batch, double seconds, const Step& step) {
  const double once = processor_seconds_of([&] {
                        for (size_t i = 0; i < 3; ++i) step(i);
                      }) /
                      3.0;
  const auto steps = static_cast<size_t>(std::max(1.0, std::max(seconds / 10.0, 0.002) / once));
  double best = 1e30;
  for (size_t part = 0; part < 10; ++part) {
    best = std::min(best, processor_seconds_of([&] {
                      for (size_t i = 0; i < steps; ++i) step(part * steps + i);
                    }));
  }
  return static_cast<double>(steps * batch) / best;
}

// rate(model, batch, seconds), 0 where the contestant cannot.
template <typename Rate>
void serve_peer(const Rate& rate) {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream question(line);
    std::string model;
    size_t batch = 0;
    double seconds = 0.0;
    question >> model >> batch >> seconds;
    const double images_per_second = batch == 0 ? 0.0 : rate(model, batch, seconds);
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    if (images_per_second > 0.0) {
      std::printf("%.1f %ld\n", images_per_second, usage.ru_maxrss);
    } else {
      std::printf("none\n");
    }
    std::fflush(stdout);
  }
}

}  // namespace runnel::bench
