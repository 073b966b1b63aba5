// The commands on real folders: init, enroll, revoke, export and status, as a user would run them one after another.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <filesystem>

#include <CLI/CLI.hpp>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "coordinator/commands/enroll_command.h"
#include "coordinator/commands/export_command.h"
#include "coordinator/commands/init_command.h"
#include "coordinator/commands/revoke_command.h"
#include "coordinator/commands/status_command.h"
#include "coordinator/config/model_file.h"
#include "coordinator/engine/public_model.h"
#include "coordinator/store/sqlite_store.h"
#include "runtime/host/device_bundle.h"
#include "runtime/host/monotonic_clock.h"
#include "runtime/host/sha256.h"
#include "runtime/train/initialize.h"
#include "tests/unit/coordinator/temp_folder.h"

namespace runnel::coordinator {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class CommandsTest : public testing::Test {
 protected:
  void init() {
    InitOptions options;
    options.state_folder = state_.path();
    options.model = "digits-mlp";
    options.plan.seed = 11;
    expect_ok(init_fleet(options, out_));
  }

  Failure enroll(std::vector<std::string> names) {
    EnrollOptions options;
    options.state_folder = state_.path();
    options.names = std::move(names);
    return enroll_devices(options, out_);
  }

  DeviceRecord record(const std::string& name) {
    Result<DeviceRecord> device = store()->device(name);
    EXPECT_TRUE(device.ok()) << device.failure().text();
    return device.ok() ? *device : DeviceRecord{};
  }

  std::unique_ptr<SqliteStore> store() {
    Result<std::unique_ptr<SqliteStore>> opened = SqliteStore::open(state_.database(), false);
    EXPECT_TRUE(opened.ok()) << opened.failure().text();
    return std::move(*opened);
  }

  std::unique_ptr<host::Entropy> entropy() { return std::move(*host::Entropy::create()); }

  static void expect_ok(const Failure& failure) {
    EXPECT_TRUE(failure.ok()) << error_name(failure.error()) << ": " << failure.text();
  }
  static void expect_error(const Failure& failure, Error error, const std::string& words) {
    EXPECT_EQ(failure.error(), error) << failure.text();
    EXPECT_THAT(failure.text(), HasSubstr(words));
  }

  TempFolder folder_;
  StateFolder state_{folder_.file("fleet")};
  std::ostringstream out_;
};

std::vector<float> initial_parameters(const plan::ModelLayout& layout, uint64_t seed) {
  std::vector<float> parameters(layout.parameter_count);
  train::initialize_parameters(layout, seed, parameters);
  return parameters;
}

TEST_F(CommandsTest, InitMakesEverythingThatRunNeeds) {
  init();
  EXPECT_EQ(mode_of(state_.path()), 0700U);
  for (const std::string& secret :
       {state_.ca_key(), state_.coordinator_key(), state_.ticket_key(), state_.database()}) {
    EXPECT_EQ(mode_of(secret), 0600U) << secret;
  }
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("digits-mlp, 4810 parameters"), HasSubstr("runnel-coordinator enroll"),
                                HasSubstr("--state " + state_.path())));

  Result<RunInputs> inputs = load_run_inputs(state_);
  ASSERT_TRUE(inputs.ok()) << inputs.failure().text();
  EXPECT_EQ(inputs->plan.seed, 11U);
  EXPECT_EQ(inputs->layout.parameter_count, 4810U);
  EXPECT_THAT(inputs->notices, testing::IsEmpty());
  EXPECT_NE(inputs->ticket_key, (std::array<uint8_t, 32>{}));
  Result<host::CertificateInfo> certificate =
      host::check_credentials(inputs->credentials, host::Role::kCoordinator, host::unix_seconds(), *entropy());
  ASSERT_TRUE(certificate.ok()) << certificate.failure().text();
  EXPECT_EQ(certificate->name, kCoordinatorName);

  Result<Snapshot> snapshot = store()->load();
  ASSERT_TRUE(snapshot.ok()) << snapshot.failure().text();
  EXPECT_NE(snapshot->run.run, 0U);
  EXPECT_EQ(snapshot->run.plan_toml, inputs->plan_toml);
  EXPECT_EQ(snapshot->run.model_toml, inputs->model_toml);
  EXPECT_EQ(snapshot->model.version, 1U);
  EXPECT_EQ(snapshot->model.parameters, on_downlink_grid(initial_parameters(inputs->layout, 11)));
}

TEST_F(CommandsTest, InitTouchesNothingThatIsThere) {
  init();
  std::vector<std::string> before;
  for (const std::string& file : state_.files()) before.push_back(read_text(file));
  InitOptions again;
  again.state_folder = state_.path() + "/";
  expect_error(init_fleet(again, out_), Error::kDuplicate, "holds a fleet already");
  std::vector<std::string> after;
  for (const std::string& file : state_.files()) after.push_back(read_text(file));
  EXPECT_EQ(before, after);

  InitOptions elsewhere;
  elsewhere.state_folder = folder_.file("papers");
  std::filesystem::create_directory(elsewhere.state_folder);
  write_text(folder_.file("papers/letter.txt"), "dear");
  const unsigned mode = mode_of(elsewhere.state_folder);
  expect_error(init_fleet(elsewhere, out_), Error::kDuplicate, "not empty");
  EXPECT_EQ(mode_of(elsewhere.state_folder), mode);
  elsewhere.state_folder = folder_.file("papers/letter.txt");
  expect_error(init_fleet(elsewhere, out_), Error::kDuplicate, "file of that name");
  EXPECT_EQ(read_text(folder_.file("papers/letter.txt")), "dear");
}

TEST_F(CommandsTest, InitTakesAnEmptyFolder) {
  std::filesystem::create_directory(state_.path());
  init();
  EXPECT_EQ(mode_of(state_.path()), 0700U);
}

TEST_F(CommandsTest, InitFindsWrongWordsBeforeItTouchesTheDisk) {
  const auto failure_with = [this](const std::function<void(InitOptions&)>& change) {
    InitOptions options;
    options.state_folder = state_.path();
    change(options);
    Failure failure = init_fleet(options, out_);
    EXPECT_FALSE(std::filesystem::exists(state_.path()));
    return failure;
  };
  expect_error(failure_with([](InitOptions& o) { o.model = "resnet"; }), Error::kUnknownName, "sensor-cnn");
  expect_error(failure_with([](InitOptions& o) { o.model = "none.toml"; }), Error::kNotFound, "none.toml");
  expect_error(failure_with([](InitOptions& o) { o.plan_path = "none.toml"; }), Error::kNotFound, "none.toml");
  expect_error(failure_with([](InitOptions& o) { o.fleet_name = "my fleet"; }), Error::kInvalidArgument, "--name");
  expect_error(failure_with([](InitOptions& o) { o.plan.rounds = 0; }), Error::kOutOfRange, "rounds");
  expect_error(failure_with([](InitOptions& o) { o.plan.codec = "zip"; }), Error::kUnknownName, "--codec");
  expect_error(failure_with([](InitOptions& o) { o.plan.rate = "fast"; }), Error::kUnknownName, "--rate");
  expect_error(failure_with([](InitOptions& o) {
                 o.plan.aggregation = "median";
                 o.plan.cohort = 1'000'000;
               }),
               Error::kOutOfRange, "cohort 1000000: median holds a round's updates in memory");
  expect_error(failure_with([](InitOptions& o) { o.plan.late = "drop"; }), Error::kUnknownName, "--late");
  expect_error(failure_with([](InitOptions& o) { o.plan.bits = 0; }), Error::kOutOfRange, "--bits");
  expect_error(failure_with([](InitOptions& o) {
                 o.plan.bits = 4;
                 o.plan.levels = 4;
               }),
               Error::kInvalidArgument, "--levels");
  expect_error(failure_with([](InitOptions& o) {
                 o.plan.codec = "fp32";
                 o.plan.bits = 4;
               }),
               Error::kInvalidArgument, "--bits: cannot be chosen for fp32");
  expect_error(failure_with([](InitOptions& o) { o.plan.levels = 7; }), Error::kInvalidArgument,
               "--levels: dithered has none");
  write_text(folder_.file("bad.toml"), "name = \"m\"\ninput = [4]\nclasses = 2\nsize = 3\n");
  expect_error(failure_with([this](InitOptions& o) { o.model = folder_.file("bad.toml"); }), Error::kUnknownName,
               "bad.toml: line 4: unknown key size");
  expect_error(failure_with([this](InitOptions& o) { o.plan_path = folder_.file("bad.toml"); }), Error::kUnknownName,
               "bad.toml: line");
}

TEST_F(CommandsTest, PrecisionFollowsTheScheduleUnlessAWidthIsGiven) {
  struct Case {
    const char* words;
    plan::RateMode mode;
  };
  int number = 0;
  for (const Case& each :
       {Case{"", plan::RateMode::kError}, Case{" --codec dithered", plan::RateMode::kError},
        Case{" --bits 1", plan::RateMode::kFixed}, Case{" --step 0.01", plan::RateMode::kFixed},
        Case{" --codec qsgd", plan::RateMode::kFixed}, Case{" --codec fp32", plan::RateMode::kFixed},
        Case{" --bits 1 --rate kimad", plan::RateMode::kKimad}, Case{" --rate fixed", plan::RateMode::kFixed}}) {
    CLI::App app;
    InitOptions options;
    add_init_command(app, options);
    const std::string folder = state_.path() + std::to_string(++number);
    app.parse("init --state " + folder + each.words);
    expect_ok(init_fleet(options, out_));
    Result<RunInputs> inputs = load_run_inputs(StateFolder(folder));
    ASSERT_TRUE(inputs.ok()) << inputs.failure().text();
    EXPECT_EQ(inputs->plan.rate.mode, each.mode) << each.words;
    std::filesystem::remove_all(folder);
  }
}

TEST_F(CommandsTest, TheCommandLineGoesOverThePlanFile) {
  write_text(folder_.file("plan.toml"), "rounds = 5\nseed = 9\n[codec]\nname = \"fp32\"\n");
  CLI::App app;
  InitOptions options;
  add_init_command(app, options);
  app.parse("init --state " + state_.path() + " --plan " + folder_.file("plan.toml") +
            " --model sensor-mlp --seed 3 --codec qsgd --bits 8 --bucket 64 --epochs 2 --steps 7 --batch 10 "
            "--learning-rate 0.5"
            " --momentum 0.25 --weight-decay 0.125 --proximal-mu 0.0625 --cohort 6 --quorum 2 --over-selection 0.5"
            " --deadline 30 --min-devices 4 --name plant");
  expect_ok(init_fleet(options, out_));
  Result<RunInputs> inputs = load_run_inputs(state_);
  ASSERT_TRUE(inputs.ok()) << inputs.failure().text();
  const FleetPlan& plan = inputs->plan;
  EXPECT_EQ(plan.rounds, 5U);
  EXPECT_EQ(plan.seed, 3U);
  EXPECT_EQ(plan.codec.codec, plan::CodecId::kQsgd);
  EXPECT_EQ(plan.codec.levels, 127U);
  EXPECT_EQ(plan.codec.bucket, 64U);
  EXPECT_EQ(plan.training.local_epochs, 2U);
  EXPECT_EQ(plan.training.local_steps, 7U);
  EXPECT_EQ(plan.training.batch_size, 10U);
  EXPECT_EQ(plan.training.learning_rate, 0.5F);
  EXPECT_EQ(plan.training.momentum, 0.25F);
  EXPECT_EQ(plan.training.weight_decay, 0.125F);
  EXPECT_EQ(plan.training.proximal_mu, 0.0625F);
  EXPECT_EQ(plan.cohort, 6U);
  EXPECT_EQ(plan.quorum, 2U);
  EXPECT_EQ(plan.over_selection, 0.5);
  EXPECT_EQ(plan.deadline_seconds, 30.0);
  EXPECT_EQ(plan.min_devices, 4U);
  EXPECT_EQ(inputs->model.name.view(), "sensor-mlp");
  EXPECT_EQ(host::parse_certificate(inputs->credentials.ca_pem)->name, "plant");
}

TEST_F(CommandsTest, ABuiltinModelSaysHowItIsTrainedUnlessSomebodyElseDoes) {
  const auto training_of = [&](const std::string& words) {
    CLI::App app;
    InitOptions options;
    add_init_command(app, options);
    static int number = 0;
    const std::string folder = folder_.file("f" + std::to_string(++number));
    app.parse("init --state " + folder + words);
    expect_ok(init_fleet(options, out_));
    return load_run_inputs(StateFolder(folder))->plan;
  };
  const FleetPlan suits = training_of(" --model har-1dcnn");
  EXPECT_EQ(suits.training.local_steps, 6U);
  EXPECT_EQ(suits.training.schedule, plan::Schedule::kCosine);
  EXPECT_EQ(suits.server.optimizer, ServerOptimizer::kMomentum);
  EXPECT_EQ(suits.rate.mode, plan::RateMode::kError);
  const FleetPlan epochs = training_of(" --model har-1dcnn --epochs 3 --server-optimizer avg");
  EXPECT_EQ(epochs.training.local_steps, 0U);
  EXPECT_EQ(epochs.training.local_epochs, 3U);
  EXPECT_EQ(epochs.training.batch_size, 16U);
  EXPECT_EQ(epochs.server.optimizer, ServerOptimizer::kAvg);
  // A plan file says everything itself.
  write_text(folder_.file("plan.toml"), "rounds = 5\n");
  EXPECT_EQ(training_of(" --model har-1dcnn --plan " + folder_.file("plan.toml")).training.local_steps, 0U);
  EXPECT_EQ(training_of(" --model sensor-mlp").training.local_steps, 0U);
}

TEST(NewFleetPlanTest, EveryBuiltinModelHasAPlanThatHolds) {
  for (const BuiltinModel& model : builtin_models()) {
    const Result<FleetPlan> plan = new_fleet_plan(model.name);
    ASSERT_TRUE(plan.ok()) << plan.failure().text();
    EXPECT_TRUE(check(*plan).ok()) << model.name;
  }
  EXPECT_EQ(fleet_plan_toml(*new_fleet_plan("mine.toml")), fleet_plan_toml(FleetPlan{}));
}

FleetPlan plan_of(const std::string& words) {
  CLI::App app;
  PlanOverrides given;
  add_plan_options(app, given);
  app.parse(words);
  FleetPlan plan;
  EXPECT_TRUE(apply_overrides(given, plan).ok());
  EXPECT_TRUE(check(plan).ok()) << check(plan).text();
  return plan;
}

TEST(PlanOptionsTest, SayHowDevicesFollowTheGradient) {
  const FleetPlan plan = plan_of(
      "--optimizer adam --beta1 0.8 --beta2 0.9 --epsilon 0.001 --clip-gradient 1.5 --accumulate 3 --warmup-rounds 2");
  EXPECT_EQ(plan.training.optimizer, plan::Optimizer::kAdam);
  EXPECT_EQ(plan.training.beta1, 0.8F);
  EXPECT_EQ(plan.training.beta2, 0.9F);
  EXPECT_EQ(plan.training.epsilon, 0.001F);
  EXPECT_EQ(plan.training.clip_norm, 1.5F);
  EXPECT_EQ(plan.training.accumulate, 3U);
  EXPECT_EQ(plan.training.warmup_rounds, 2U);
  EXPECT_EQ(plan_of("--steps 20 --scaffold-share 0.25").training.scaffold_share, 0.25F);
  PlanOverrides given;
  given.optimizer = "sgdm";
  FleetPlan other;
  EXPECT_EQ(apply_overrides(given, other).error(), Error::kUnknownName);
}

TEST(PlanOptionsTest, SayWhenUpdatesCount) {
  const FleetPlan late = plan_of("--policy sync --grace 20 --staleness-max 3 --staleness-exponent 1.5");
  EXPECT_EQ(late.policy.grace_seconds, 20.0);
  EXPECT_EQ(late.policy.staleness_max, 3U);
  EXPECT_EQ(late.policy.staleness_exponent, 1.5);
  const FleetPlan buffered = plan_of("--policy buffered --buffer 4 --offline-updates 2");
  EXPECT_EQ(buffered.policy.policy, plan::RoundPolicy::kBuffered);
  EXPECT_EQ(buffered.policy.staleness_max, 10U) << "of little use without";
  EXPECT_EQ(buffered.policy.buffer, 4U);
  EXPECT_EQ(buffered.policy.offline_updates, 2U);
  const FleetPlan pace = plan_of("--come-back --come-back-seconds 90 --ping-seconds 0");
  EXPECT_TRUE(pace.pace.come_back);
  EXPECT_EQ(pace.pace.come_back_seconds, 90.0);
  EXPECT_EQ(pace.pace.ping_seconds, 0U);
}

TEST(PlanOptionsTest, SayWhatBecomesOfUpdates) {
  const FleetPlan krum = plan_of("--aggregation krum --byzantine 2 --krum-keep 4 --quorum 7 --clip-norm 3");
  EXPECT_EQ(krum.aggregation.method, AggregationMethod::kKrum);
  EXPECT_EQ(krum.aggregation.byzantine, 2U);
  EXPECT_EQ(krum.aggregation.krum_keep, 4U);
  EXPECT_EQ(krum.aggregation.clip_norm, 3.0);
  const FleetPlan trimmed = plan_of("--aggregation trimmed_mean --trim 0.3");
  EXPECT_EQ(trimmed.aggregation.method, AggregationMethod::kTrimmedMean);
  EXPECT_EQ(trimmed.aggregation.trim, 0.3);
  const FleetPlan nesterov = plan_of("--nesterov --server-learning-rate 0.7 --server-momentum 0.8");
  EXPECT_EQ(nesterov.server.optimizer, ServerOptimizer::kMomentum);
  EXPECT_TRUE(nesterov.server.nesterov);
  EXPECT_EQ(nesterov.server.learning_rate, 0.7);
  EXPECT_EQ(nesterov.server.momentum, 0.8);
  const FleetPlan yogi = plan_of("--server-optimizer yogi --server-beta1 0.5 --server-beta2 0.75 --server-tau 0.01");
  EXPECT_EQ(yogi.server.optimizer, ServerOptimizer::kYogi);
  EXPECT_EQ(yogi.server.learning_rate, 0.03) << "an adaptive optimizer has its own default";
  EXPECT_EQ(yogi.server.beta1, 0.5);
  EXPECT_EQ(yogi.server.beta2, 0.75);
  EXPECT_EQ(yogi.server.tau, 0.01);
}

TEST_F(CommandsTest, WrongNamesOfRoundRulesAreTheOptions) {
  const auto failure_of = [](const std::string& words) {
    CLI::App app;
    PlanOverrides given;
    add_plan_options(app, given);
    app.parse(words);
    FleetPlan plan;
    return apply_overrides(given, plan);
  };
  expect_error(failure_of("--policy fedbuff"), Error::kUnknownName, "--policy: must be one of sync or buffered");
  expect_error(failure_of("--aggregation bulyan"), Error::kUnknownName, "--aggregation: must be one of mean");
  expect_error(failure_of("--server-optimizer lamb"), Error::kUnknownName, "--server-optimizer: must be one of avg");
}

TEST_F(CommandsTest, EnrollsDevicesWithBundlesTheyCanUse) {
  init();
  expect_ok(enroll({"pump-7", "fan-1"}));
  EXPECT_EQ(mode_of(state_.bundles()), 0700U);
  const std::string path = state_.bundles() + "/pump-7.toml";
  EXPECT_EQ(mode_of(path), 0600U);
  Result<host::DeviceBundle> bundle = host::load_device_bundle(path);
  ASSERT_TRUE(bundle.ok()) << bundle.failure().text();
  EXPECT_EQ(bundle->name, "pump-7");
  EXPECT_EQ(bundle->coordinator, "tcp://127.0.0.1:5555");
  EXPECT_EQ(bundle->ca_pem, read_text(state_.ca_certificate()));
  const int64_t now_s = host::unix_seconds();
  Result<host::CertificateInfo> certificate = host::check_credentials(
      {bundle->ca_pem, bundle->certificate_pem, bundle->key_pem}, host::Role::kDevice, now_s, *entropy());
  ASSERT_TRUE(certificate.ok()) << certificate.failure().text();
  EXPECT_EQ(certificate->name, "pump-7");
  EXPECT_EQ(record("pump-7").serial, certificate->serial);
  EXPECT_NEAR(static_cast<double>(certificate->not_after_s - now_s), 825.0 * 86400.0, 86400.0);
  EXPECT_EQ(store()->devices()->size(), 2U);
  EXPECT_THAT(out_.str(),
              AllOf(HasSubstr("enrolled pump-7"), HasSubstr("enrolled fan-1"), HasSubstr("made here for convenience")));
}

TEST_F(CommandsTest, EnrollingAgainReplacesTheCertificate) {
  init();
  expect_ok(enroll({"pump-7"}));
  const std::string first = record("pump-7").serial;
  EXPECT_THAT(out_.str(), Not(HasSubstr("was known")));
  expect_ok(enroll({"pump-7"}));
  EXPECT_NE(record("pump-7").serial, first);
  EXPECT_THAT(out_.str(), HasSubstr("pump-7 was known: its earlier certificate is no longer good"));

  RevokeOptions revoke;
  revoke.state_folder = state_.path();
  revoke.name = "pump-7";
  expect_ok(revoke_device(revoke, out_));
  EXPECT_TRUE(record("pump-7").revoked);
  expect_ok(revoke_device(revoke, out_));
  EXPECT_THAT(out_.str(), HasSubstr("was revoked already"));
  expect_ok(enroll({"pump-7"}));
  EXPECT_FALSE(record("pump-7").revoked);
  EXPECT_THAT(out_.str(), HasSubstr("it may take part again"));
  revoke.name = "nobody";
  expect_error(revoke_device(revoke, out_), Error::kUnknownDevice, "nobody");
}

TEST_F(CommandsTest, SignsARequestWhoseKeyStaysOnTheDevice) {
  init();
  const std::unique_ptr<host::Entropy> random = entropy();
  const std::string key = std::move(*host::create_private_key(*random));
  write_text(folder_.file("pump-7.csr"), *host::create_request(key, "pump-7", *random));
  EnrollOptions options;
  options.state_folder = state_.path();
  options.names = {"pump-8"};
  options.request_path = folder_.file("pump-7.csr");
  options.out_path = folder_.file("pump-7.toml");
  options.coordinator = "tcp://plant.example:7000";
  EXPECT_FALSE(enroll_devices(options, out_).ok()) << "the request is another device's";
  EXPECT_FALSE(std::filesystem::exists(options.out_path));
  EXPECT_TRUE(store()->devices()->empty());

  options.names = {"pump-7"};
  expect_ok(enroll_devices(options, out_));
  EXPECT_THAT(read_text(options.out_path), Not(HasSubstr("PRIVATE KEY")));
  EXPECT_THAT(out_.str(), Not(HasSubstr("made here")));
  write_text(folder_.file("pump-7.key"), key);
  Result<host::DeviceBundle> bundle = host::load_device_bundle(options.out_path);
  ASSERT_TRUE(bundle.ok()) << bundle.failure().text();
  EXPECT_EQ(bundle->coordinator, "tcp://plant.example:7000");
  Result<host::CertificateInfo> certificate = host::check_credentials(
      {bundle->ca_pem, bundle->certificate_pem, bundle->key_pem}, host::Role::kDevice, host::unix_seconds(), *random);
  ASSERT_TRUE(certificate.ok()) << certificate.failure().text();
  EXPECT_EQ(certificate->serial, record("pump-7").serial);
}

TEST_F(CommandsTest, EnrollRefusesWrongWordsBeforeDoingAnything) {
  init();
  expect_error(enroll({"good", "../etc"}), Error::kInvalidArgument, "'../etc'");
  expect_error(enroll({"good", "."}), Error::kInvalidArgument, "'.'");
  expect_error(enroll({"good", "good"}), Error::kDuplicate, "good is named twice");
  expect_error(enroll({}), Error::kInvalidArgument, "at least one");
  EnrollOptions options;
  options.state_folder = state_.path();
  options.names = {"a", "b"};
  options.out_path = folder_.file("x.toml");
  expect_error(enroll_devices(options, out_), Error::kInvalidArgument, "--out");
  options.out_path.clear();
  options.request_path = folder_.file("x.csr");
  expect_error(enroll_devices(options, out_), Error::kInvalidArgument, "--csr");
  options.request_path.clear();
  options.coordinator = "plant:5555";
  expect_error(enroll_devices(options, out_), Error::kInvalidArgument, "tcp://HOST:PORT");
  options.coordinator = "tcp://plant:5555";
  options.days = 0;
  expect_error(enroll_devices(options, out_), Error::kOutOfRange, "--days");
  options.days = 10;
  options.state_folder = folder_.file("nowhere");
  expect_error(enroll_devices(options, out_), Error::kNotFound, "runnel-coordinator init --state");
  EXPECT_TRUE(store()->devices()->empty());
  EXPECT_FALSE(std::filesystem::exists(state_.bundles()));
}

// A reader of safetensors that shares nothing with the writer.
TEST_F(CommandsTest, ExportsSafetensorsThatAnotherReaderUnderstands) {
  InitOptions init_options;
  init_options.state_folder = state_.path();
  init_options.model = "sensor-cnn";
  expect_ok(init_fleet(init_options, out_));
  ExportOptions options;
  options.state_folder = state_.path();
  options.out_path = folder_.file("model.safetensors");
  out_.str("");
  expect_ok(export_model(options, out_));

  const std::string file = read_text(options.out_path);
  ASSERT_GT(file.size(), 8U);
  uint64_t header_bytes = 0;
  for (int byte = 7; byte >= 0; --byte)
    header_bytes = header_bytes << 8 | static_cast<uint8_t>(file[static_cast<size_t>(byte)]);
  ASSERT_LE(header_bytes, file.size() - 8);
  EXPECT_EQ(header_bytes % 8, 0U);
  const nlohmann::json header = nlohmann::json::parse(file.substr(8, header_bytes));
  const std::string numbers = file.substr(8 + header_bytes);
  EXPECT_EQ(header["__metadata__"]["model"], "sensor-cnn");
  EXPECT_EQ(header["__metadata__"]["version"], "1");
  EXPECT_EQ(header["0.conv2d.weight"]["shape"], (std::vector<int>{16, 3, 1, 5}));
  EXPECT_EQ(header["0.conv2d.bias"]["shape"], (std::vector<int>{16}));
  EXPECT_EQ(header["7.dense.weight"]["shape"], (std::vector<int>{24, 512}));
  EXPECT_EQ(header["9.dense.bias"]["shape"], (std::vector<int>{6}));

  uint64_t covered = 0;
  for (const auto& [name, tensor] : header.items()) {
    if (name == "__metadata__") continue;
    EXPECT_EQ(tensor["dtype"], "F32");
    uint64_t bytes = 4;
    for (const uint64_t size : tensor["shape"]) bytes *= size;
    const uint64_t begin = tensor["data_offsets"][0];
    const uint64_t end = tensor["data_offsets"][1];
    EXPECT_EQ(end - begin, bytes) << name;
    EXPECT_LE(end, numbers.size()) << name;
    covered += bytes;
  }
  EXPECT_EQ(covered, numbers.size());

  const std::vector<float> expected = store()->load()->model.parameters;
  ASSERT_EQ(numbers.size(), expected.size() * sizeof(float));
  EXPECT_EQ(std::memcmp(numbers.data(), expected.data(), numbers.size()), 0);
  const std::string sha256 = host::sha256_hex({reinterpret_cast<const uint8_t*>(numbers.data()), numbers.size()});
  EXPECT_EQ(header["__metadata__"]["sha256"], sha256);
  EXPECT_THAT(out_.str(), HasSubstr("sha256 " + sha256));

  options.out_path = folder_.file("model.f32");
  out_.str("");
  expect_ok(export_model(options, out_));
  EXPECT_EQ(read_text(options.out_path), numbers);
  EXPECT_THAT(out_.str(), HasSubstr("sha256 " + sha256));
  options.version = 2;
  expect_error(export_model(options, out_), Error::kNotFound, "there are: 1");
  options.out_path = folder_.file("model.pt");
  expect_error(export_model(options, out_), Error::kInvalidArgument, ".safetensors, .onnx or .f32");
  options.format = "pickle";
  expect_error(export_model(options, out_), Error::kUnknownName, "--format must be safetensors, onnx or f32");
}

TEST(Sha256Test, MatchesThePublishedExamples) {
  const std::string abc = "abc";
  EXPECT_EQ(host::sha256_hex({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(host::sha256_hex({reinterpret_cast<const uint8_t*>(abc.data()), abc.size()}),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(CommandsTest, StatusShowsRoundsAndDevices) {
  init();
  StatusOptions options;
  options.state_folder = state_.path();
  out_.str("");
  expect_ok(print_status(options, out_));
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("rounds closed: 0 of 20"), HasSubstr("no devices yet")));

  expect_ok(enroll({"pump-7", "fan-1"}));
  std::unique_ptr<SqliteStore> open = store();
  std::vector<float> parameters = open->load()->model.parameters;
  UpdateRecord update;
  update.round = 1;
  update.merged_into = 1;
  update.device = "pump-7";
  expect_ok(open->open_round({1, 1, {"fan-1", "pump-7"}, 0}));
  expect_ok(open->accept_updates(std::vector{update}));
  out_.str("");
  expect_ok(print_status(options, out_));
  EXPECT_THAT(out_.str(), HasSubstr("round 1 is open: 1 of 2 updates"));
  RoundResult result;
  result.round = 1;
  result.model = {2, parameters};
  result.participants = 1;
  result.mean_loss = 1.75;
  result.bits_per_coordinate = 3.5;
  expect_ok(open->close_round(result));
  expect_ok(open->record_evaluation({2, 1, 100, 0.875, 0.5, 1, 0.875, ""}));
  expect_ok(open->revoke("fan-1"));
  out_.str("");
  expect_ok(print_status(options, out_));
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("rounds closed: 1 of 20"), HasSubstr("87.50 %"), HasSubstr("0.5000"),
                                HasSubstr("1.7500"), HasSubstr("3.50"), HasSubstr("revoked")));
}

TEST_F(CommandsTest, LoadingNamesTheFileThatIsMissingOrDamaged) {
  expect_error(load_run_inputs(state_).failure(), Error::kNotFound, "no fleet here");
  init();
  ASSERT_EQ(::chmod(state_.coordinator_key().c_str(), 0644), 0);
  Result<RunInputs> inputs = load_run_inputs(state_);
  ASSERT_TRUE(inputs.ok());
  ASSERT_EQ(inputs->notices.size(), 1U);
  EXPECT_THAT(inputs->notices[0], AllOf(HasSubstr("coordinator.key"), HasSubstr("0644"), HasSubstr("chmod 600")));

  write_text(state_.ticket_key(), "short");
  expect_error(load_run_inputs(state_).failure(), Error::kCorrupt, "ticket.key: 5 bytes, not 32");
  write_text(state_.ticket_key(), std::string(32, 'k'));
  write_text(state_.plan(), "rounds = 0\n");
  expect_error(load_run_inputs(state_).failure(), Error::kOutOfRange, "plan.toml: line 1: rounds");
  write_text(state_.plan(), "");
  write_text(state_.model(), "name = 1\n");
  expect_error(load_run_inputs(state_).failure(), Error::kMalformed, "model.toml: line 1: name");
  std::filesystem::remove(state_.coordinator_certificate());
  expect_error(load_run_inputs(state_).failure(), Error::kNotFound, "coordinator.crt: missing");
}

}  // namespace
}  // namespace runnel::coordinator
