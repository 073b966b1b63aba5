// A coordinator and its devices as a person would start them by hand, for tests that interfere with them.
#pragma once

#include <memory>

#include "tests/integration/programs.h"

namespace runnel::testing_programs {

class RunningFleet {
 public:
  // Makes the fleet with `plan` as further words for init, and enrols `devices` of them: d0, d1, ...
  RunningFleet(size_t devices, const std::vector<std::string>& plan) {
    std::vector<std::string> init{program("runnel-coordinator"), "init", "--state", state(), "--min-devices",
                                  std::to_string(devices)};
    init.insert(init.end(), plan.begin(), plan.end());
    made_ = run(init);
    std::vector<std::string> enroll{program("runnel-coordinator"), "enroll", "--state", state()};
    for (size_t i = 0; i < devices; ++i) enroll.push_back(name(i));
    if (made_.status == 0) made_ = run(enroll);
    devices_.resize(devices);
  }

  bool made() const { return made_.status == 0; }
  std::string why_not() const { return made_.output; }
  std::string state() const { return folder_ / "fleet"; }
  std::string device_state(size_t i) const { return folder_ / ("state-" + name(i)); }
  std::string bundle(size_t i) const { return state() + "/bundles/" + name(i) + ".toml"; }
  std::string path(const std::string& file) const { return folder_ / file; }
  static std::string name(size_t i) { return "d" + std::to_string(i); }

  // Starts the coordinator; the first time on a free port, then on that one again.
  bool start_coordinator(const std::vector<std::string>& more = {}) {
    const std::string bind = endpoint_.empty() ? "tcp://127.0.0.1:0" : endpoint_;
    std::vector<std::string> command{
        program("runnel-coordinator"), "run", "--state", state(), "--bind", bind, "--data", data_,
        "--exit-when-finished"};
    command.insert(command.end(), more.begin(), more.end());
    coordinator_log_ = folder_ / ("coordinator-" + std::to_string(++coordinator_starts_) + ".log");
    coordinator_ = std::make_unique<Background>(command, coordinator_log_);
    return eventually([&] {
             const std::string text = coordinator_->output();
             const size_t at = text.find("listening on ");
             if (at == std::string::npos || text.find('\n', at) == std::string::npos) return !coordinator_->running();
             endpoint_ = text.substr(at + 13, text.find('\n', at) - at - 13);
             return true;
           }) &&
           coordinator_->running();
  }
  void start_device(size_t i, const std::vector<std::string>& more = {}) {
    std::vector<std::string> command{program("runnel-device"),
                                     "run",
                                     "--bundle",
                                     bundle(i),
                                     "--state",
                                     device_state(i),
                                     "--coordinator",
                                     device_endpoint_.empty() ? endpoint_ : device_endpoint_,
                                     "--data",
                                     data_,
                                     "--part",
                                     std::to_string(i),
                                     "--parts",
                                     std::to_string(devices_.size())};
    command.insert(command.end(), more.begin(), more.end());
    devices_[i] = std::make_unique<Background>(command, device_log(i));
  }
  // Of devices and the held-out evaluation, if not what is generated.
  void use_data(const std::string& data) { data_ = data; }
  // Where devices find the coordinator, if not where it listens.
  void lead_devices_to(const std::string& endpoint) { device_endpoint_ = endpoint; }
  std::string device_log(size_t i) const { return folder_ / (name(i) + ".log"); }

  Background& coordinator() { return *coordinator_; }
  Background& device(size_t i) { return *devices_[i]; }
  const std::string& endpoint() const { return endpoint_; }
  Outcome export_model(const std::string& file) const {
    return run({program("runnel-coordinator"), "export", "--state", state(), "--out", file});
  }

 private:
  TempFolder folder_;
  Outcome made_;
  std::string data_ = "generated";
  std::string endpoint_;
  std::string device_endpoint_;
  std::string coordinator_log_;
  int coordinator_starts_ = 0;
  std::unique_ptr<Background> coordinator_;
  std::vector<std::unique_ptr<Background>> devices_;
};

}  // namespace runnel::testing_programs
