#include "bench/measured_coordinator.h"

#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "bench/load_generator.h"

namespace runnel::bench {
namespace {

constexpr uint32_t kNamesPerCall = 500;
constexpr int kStartSteps = 600;  // of 100 ms

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

MeasuredCoordinator::MeasuredCoordinator(const MeasuredOptions& options) : options_(options) {
  namespace fs = std::filesystem;
  fs::create_directories(options_.folder);
  const std::string log = options_.folder + "/setup.log";
  fs::remove(log);
  std::ofstream(options_.folder + "/model.toml") << options_.model_toml;
  if (!fs::exists(state())) {
    std::vector<std::string> words{"init",
                                   "--state",
                                   state(),
                                   "--model",
                                   options_.folder + "/model.toml",
                                   "--min-devices",
                                   std::to_string(options_.min_devices)};
    words.insert(words.end(), options_.plan.begin(), options_.plan.end());
    run_to_end(words, log);
  }
  for (uint32_t first = 0; first < options_.devices; first += kNamesPerCall) {
    std::vector<std::string> words{"enroll", "--state", state()};
    for (uint32_t i = first; i < std::min(first + kNamesPerCall, options_.devices); ++i) {
      if (!fs::exists(bundles() + "/" + load_device_name(i) + ".toml")) words.push_back(load_device_name(i));
    }
    if (words.size() > 3) run_to_end(words, log);
  }
}

void MeasuredCoordinator::run_to_end(const std::vector<std::string>& words, const std::string& log) {
  const fleet::ExitStatus status = fleet::ChildProcess::start({options_.program, words, log}).wait();
  if (!status.clean()) throw std::runtime_error(words[0] + " " + status.text() + ":\n" + fleet::log_tail(log));
}

void MeasuredCoordinator::start() {
  const std::string log = options_.folder + "/coordinator.log";
  std::filesystem::remove(log);
  const std::string bind = endpoint_.empty() ? "tcp://127.0.0.1:0" : endpoint_;
  process_ = fleet::ChildProcess::start(
      {options_.program,
       {"run", "--state", state(), "--bind", bind, "--min-devices", std::to_string(options_.min_devices)},
       log});
  for (int step = 0; step < kStartSteps; ++step) {
    const std::string text = read_text(log);
    const size_t at = text.find("listening on ");
    if (at != std::string::npos && text.find('\n', at) != std::string::npos) {
      endpoint_ = text.substr(at + 13, text.find('\n', at) - at - 13);
      return;
    }
    require_running();
    ::usleep(100'000);
  }
  throw std::runtime_error("the coordinator does not listen:\n" + fleet::log_tail(log));
}

void MeasuredCoordinator::require_running() {
  if (const auto status = process_->poll_exit()) {
    throw std::runtime_error("the coordinator " + status->text() + ":\n" +
                             fleet::log_tail(options_.folder + "/coordinator.log"));
  }
}

void MeasuredCoordinator::stop() {
  if (!process_ || !process_->running()) return;
  process_->send_signal(SIGTERM);
  process_->wait();
}

}  // namespace runnel::bench
