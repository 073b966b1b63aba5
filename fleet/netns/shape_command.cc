#include "fleet/netns/shape_command.h"

#include <linux/capability.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "fleet/child_process.h"
#include "fleet/fleet_links.h"
#include "fleet/link_profiles.h"
#include "fleet/netns/link_plan.h"
#include "fleet/netns/link_queues.h"
#include "fleet/stop_signals.h"

namespace runnel::fleet {
namespace {

constexpr Duration kSampleEvery = milliseconds(100);
constexpr Duration kReportEvery = milliseconds(500);

struct ShapeOptions {
  RunConfig links;  // devices, profile or trace, seed
  uint32_t device = 0;
  std::string interface = "eth0";
  double epoch_s = 0.0;
  std::string events_path;
  std::string log_path = "/dev/stderr";
  std::vector<std::string> command;
};

template <typename Clock>
Duration now_of() {
  return std::chrono::duration_cast<Duration>(Clock::now().time_since_epoch());
}

// In a container this program may hold the capability as permitted only, so that it starts where it is not granted.
void raise_net_admin() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return;
  data[0].effective |= data[0].permitted & (1U << CAP_NET_ADMIN);
  ::syscall(SYS_capset, &header, data.data());
}

std::string resolve_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  std::string folders = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin";
  for (size_t begin = 0; begin <= folders.size();) {
    const size_t end = std::min(folders.find(':', begin), folders.size());
    const std::string candidate = folders.substr(begin, end - begin) + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    begin = end + 1;
  }
  throw FleetError(name + " is not in PATH");
}

nlohmann::ordered_json rate_json(const MeasuredRate& rate) {
  return {{"busy_s", rate.busy_s}, {"bytes", rate.bytes}, {"profile_bytes", rate.profile_bytes}};
}

class ShapedProgram {
 public:
  explicit ShapedProgram(const ShapeOptions& options)
      : link_(device_links(options.links).at(options.device)), queues_(options.interface), meter_(*link_.trace) {
    const Duration since_epoch =
        now_of<std::chrono::system_clock>() - Duration(static_cast<int64_t>(options.epoch_s * 1e6));
    begin_ = now_of<std::chrono::steady_clock>() - link_.offset;
    if (options.epoch_s > 0.0) begin_ -= std::max(since_epoch, Duration::zero());
    if (!options.events_path.empty()) {
      events_.open(options.events_path, std::ios::app);
      if (!events_) throw system_error(options.events_path);
    }
    apply(position());
    child_ = ChildProcess::start({resolve_program(options.command.front()),
                                  {options.command.begin() + 1, options.command.end()},
                                  options.log_path});
  }

  int run(StopSignals& signals) {
    std::optional<ExitStatus> status;
    while (!status) {
      try {
        const Duration left = std::min(next_setting_, next_sample_) - position();
        signals.wait(static_cast<int>(std::clamp<int64_t>((left.count() + 999) / 1000, 0, 100)));
      } catch (const Interrupted&) {
        child_->send_signal(SIGTERM);  // it ends when it is ready to
      }
      step();
      status = child_->poll_exit();
    }
    report();
    return status->signal != 0 ? 128 + status->signal : status->code;
  }

 private:
  Duration position() const { return now_of<std::chrono::steady_clock>() - begin_; }

  void apply(Duration at) {
    setting_ = next_setting(*link_.trace, at);
    queues_.set_up(queue_setting(setting_.up_kbps, setting_));
    queues_.set_down(queue_setting(setting_.down_kbps, setting_));
    next_setting_ = at + setting_.length;
  }

  void step() {
    const Duration at = position();
    if (at >= next_sample_) {
      counters_ = queues_.counters();
      meter_.sample(at, counters_.up, counters_.down);
      next_sample_ = at + kSampleEvery;
      if (at >= next_report_) report();
    }
    if (at >= next_setting_) apply(at);
  }

  void report() {
    next_report_ = position() + kReportEvery;
    if (!events_.is_open()) return;
    child_->sample_memory();
    const LinkState state = link_.trace->at(position());
    const auto finite = [](double kbps) { return std::min(kbps, 1e7); };
    const nlohmann::ordered_json line = {{"event", "link"},
                                         {"first", first_},
                                         {"uplink_bytes", counters_.up.bytes},
                                         {"downlink_bytes", counters_.down.bytes},
                                         {"drops", counters_.up.drops + counters_.down.drops},
                                         {"up_kbps", finite(state.up_kbps)},
                                         {"down_kbps", finite(state.down_kbps)},
                                         {"outage", state.outage},
                                         {"rss_bytes_max", child_->rss_bytes_max()},
                                         {"up", rate_json(meter_.up())},
                                         {"down", rate_json(meter_.down())}};
    events_ << line.dump() + "\n" << std::flush;
    first_ = false;
  }

  DeviceLink link_;
  LinkQueues queues_;
  RateMeter meter_;
  std::ofstream events_;
  std::optional<ChildProcess> child_;
  LinkSetting setting_;
  LinkQueues::Counters counters_;
  Duration begin_{};  // of the trace, on the steady clock
  Duration next_setting_{};
  Duration next_sample_{};
  Duration next_report_{};
  bool first_ = true;
};

}  // namespace

int shape_command(int argc, const char* const* argv) {
  CLI::App app("Runs a program while this namespace's network interface follows a link profile.", "runnel-fleet");
  app.require_subcommand(1);
  CLI::App* shape = app.add_subcommand("shape", "Shape a link while a program runs: shape [OPTIONS] -- PROGRAM ...");
  ShapeOptions options;
  shape->add_option("--interface", options.interface, "network interface to shape, both ways")->capture_default_str();
  CLI::Option* profile = shape->add_option("--profile", options.links.profile, "emulated link, made from the seed")
                             ->check(CLI::IsMember(profile_names()))
                             ->capture_default_str();
  shape->add_option("--trace", options.links.trace_file, "measured links: CSV, plain or gzipped")
      ->check(CLI::ExistingFile)
      ->excludes(profile);
  shape->add_option("--seed", options.links.seed, "of the links; the same on all devices")->capture_default_str();
  shape->add_option("--device", options.device, "which device's link, from 0")->check(CLI::Range(0, 4999));
  shape->add_option("--epoch", options.epoch_s, "when the links' time began, in seconds since 1970 (default: now)");
  shape->add_option("--events", options.events_path, "write what crosses the link as JSON lines to this file");
  shape->add_option("--log", options.log_path, "where the program's output goes")->capture_default_str();
  shape->add_option("PROGRAM", options.command, "the program and its arguments, after --")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  options.links.devices = options.device + 1;
  try {
    StopSignals signals;
    raise_net_admin();
    return ShapedProgram(options).run(signals);
  } catch (const std::exception& error) {
    std::cerr << "runnel-fleet: shape: " << error.what() << '\n';
    return 1;
  }
}

}  // namespace runnel::fleet
