#include "runtime/data/data_spec.h"

#include <charconv>
#include <cmath>
#include <vector>

namespace runnel::data {
namespace {

constexpr double kAlphaMin = 0.001;
constexpr double kAlphaMax = 1e6;
constexpr uint32_t kShardsMax = 65536;
constexpr double kGeneratedLabelAlpha = 1.0;

// `text` in a printf call: "%.*s" with RUNNEL_TEXT(text). Cut, so that the rest of the message still fits.
#define RUNNEL_TEXT(text) static_cast<int>((text).size() < 80 ? (text).size() : 80), (text).data()

std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t comma = text.find(',');
    parts.push_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

// What stands before and after the first `separator`; the second is empty when there is none.
std::pair<std::string_view, std::string_view> split_pair(std::string_view text, char separator) {
  const size_t at = text.find(separator);
  if (at == std::string_view::npos) return {text, {}};
  return {text.substr(0, at), text.substr(at + 1)};
}

template <typename T>
bool parse_whole(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

Failure parse_paths(std::string_view paths, std::string_view data, DataSpec& spec) {
  const std::vector<std::string_view> parts = split_list(paths);
  for (const std::string_view part : parts) {
    if (part.empty()) return fail(Error::kInvalidArgument, "--data %.*s: a file name is empty", RUNNEL_TEXT(data));
  }
  if (spec.kind == DataKind::kIdx) {
    if (parts.size() != 2 && parts.size() != 4) {
      return fail(Error::kInvalidArgument, "--data %.*s: %zu files; idx takes IMAGES,LABELS[,TEST_IMAGES,TEST_LABELS]",
                  RUNNEL_TEXT(data), parts.size());
    }
    spec.train_path = parts[0];
    spec.train_labels_path = parts[1];
    if (parts.size() == 4) {
      spec.test_path = parts[2];
      spec.test_labels_path = parts[3];
    }
    return Error::kOk;
  }
  if (parts.size() > 2) {
    return fail(Error::kInvalidArgument, "--data %.*s: %zu files; csv takes TRAIN[,TEST]", RUNNEL_TEXT(data),
                parts.size());
  }
  spec.train_path = parts[0];
  if (parts.size() == 2) spec.test_path = parts[1];
  return Error::kOk;
}

Failure parse_task(std::string_view name, GeneratedTask& task) {
  if (name == "activity") {
    task = GeneratedTask::kActivity;
  } else if (name == "readings") {
    task = GeneratedTask::kReadings;
  } else if (name == "text") {
    task = GeneratedTask::kText;
  } else {
    return fail(Error::kInvalidArgument, "--data generated: no task \"%.*s\"; there are activity, readings and text",
                RUNNEL_TEXT(name));
  }
  return Error::kOk;
}

Failure parse_generated(std::string_view options, GeneratedSpec& spec) {
  for (const std::string_view option : split_list(options)) {
    const auto [key, value] = split_pair(option, '=');
    if (key == "task") {
      RUNNEL_TRY(parse_task(value, spec.task));
      continue;
    }
    uint32_t* count = nullptr;
    if (key == "examples") count = &spec.examples;
    if (key == "test_examples") count = &spec.test_examples;
    if (count == nullptr) {
      return fail(Error::kInvalidArgument,
                  "--data generated: unknown option \"%.*s\"; there are task=NAME, examples=N and test_examples=N",
                  RUNNEL_TEXT(option));
    }
    if (!parse_whole(value, *count) || *count < kGeneratedExamplesMin || *count > kGeneratedExamplesMax) {
      return fail(Error::kInvalidArgument, "--data generated: \"%.*s\": not a number from %u to %u",
                  RUNNEL_TEXT(option), kGeneratedExamplesMin, kGeneratedExamplesMax);
    }
  }
  return Error::kOk;
}

Failure parse_normal(std::string_view labels, std::vector<uint16_t>& normal) {
  for (;;) {
    const auto [first, rest] = split_pair(labels, '+');
    uint16_t label = 0;
    if (!parse_whole(first, label)) {
      return fail(Error::kInvalidArgument, "--data: normal=%.*s: not labels such as 0 or 0+2", RUNNEL_TEXT(labels));
    }
    normal.push_back(label);
    if (first.size() == labels.size()) return Error::kOk;
    labels = rest;
  }
}

// One of the options behind the files: ";targets=2".
Failure parse_option(std::string_view option, DataSpec& spec) {
  const auto [key, value] = split_pair(option, '=');
  const bool labelled = spec.kind != DataKind::kText &&
                        (spec.kind != DataKind::kGenerated || spec.generated.task == GeneratedTask::kActivity);
  if (key == "normal" && labelled && spec.target_count == 0) return parse_normal(value, spec.normal);
  uint32_t* number = nullptr;
  uint32_t largest = 0;
  if (key == "targets" && spec.kind == DataKind::kCsv && spec.normal.empty()) {
    number = &spec.target_count;
    largest = kTargetsMax;
  } else if (key == "window" && spec.kind == DataKind::kText) {
    number = &spec.window;
    largest = kTextWindowMax;
  } else if (key == "speakers" && spec.kind == DataKind::kText) {
    number = &spec.speakers;
    largest = kPartitionDevicesMax;
  }
  if (number == nullptr) {
    return fail(Error::kInvalidArgument, "--data: \";%.*s\" does not fit this kind of data", RUNNEL_TEXT(option));
  }
  if (!parse_whole(value, *number) || *number == 0 || *number > largest) {
    return fail(Error::kInvalidArgument, "--data: \"%.*s\": not a number from 1 to %u", RUNNEL_TEXT(option), largest);
  }
  return Error::kOk;
}

Failure parse_source(std::string_view data, DataSpec& spec) {
  const auto [kind, rest] = split_pair(data, ':');
  const bool colon = kind.size() != data.size();
  if (kind == "generated") {
    spec.kind = DataKind::kGenerated;
    return colon ? parse_generated(rest, spec.generated) : Failure(Error::kOk);
  }
  if ((kind == "idx" || kind == "csv") && colon) {
    spec.kind = kind == "idx" ? DataKind::kIdx : DataKind::kCsv;
    return parse_paths(rest, data, spec);
  }
  if (kind == "text" && !rest.empty()) {
    spec.kind = DataKind::kText;
    spec.train_path = rest;
    return Error::kOk;
  }
  return fail(Error::kInvalidArgument, "--data \"%.*s\": begins with none of idx:, csv:, text: and generated",
              RUNNEL_TEXT(data));
}

Failure parse_data(std::string_view data, DataSpec& spec) {
  auto [source, options] = split_pair(data, ';');
  RUNNEL_TRY(parse_source(source, spec));
  while (source.size() != data.size()) {
    data.remove_prefix(source.size() + 1);
    source = split_pair(data, ';').first;
    RUNNEL_TRY(parse_option(source, spec));
  }
  return Error::kOk;
}

Failure parse_partition(std::string_view text, PartitionSpec& spec) {
  const auto [kind, value] = split_pair(text, ':');
  if (text == "iid") {
    spec.kind = PartitionKind::kIid;
    return Error::kOk;
  }
  if (kind == "dirichlet") {
    spec.kind = PartitionKind::kDirichlet;
    if (parse_whole(value, spec.alpha) && spec.alpha >= kAlphaMin && spec.alpha <= kAlphaMax) return Error::kOk;
    return fail(Error::kInvalidArgument, "--partition %.*s: alpha is not a number from %g to %g", RUNNEL_TEXT(text),
                kAlphaMin, kAlphaMax);
  }
  if (kind == "shards") {
    spec.kind = PartitionKind::kShards;
    if (parse_whole(value, spec.shards) && spec.shards >= 1 && spec.shards <= kShardsMax) return Error::kOk;
    return fail(Error::kInvalidArgument, "--partition %.*s: shards is not a number from 1 to %u", RUNNEL_TEXT(text),
                kShardsMax);
  }
  if (kind == "key") {
    spec.kind = PartitionKind::kKey;
    spec.key_path = value;
    if (!value.empty()) return Error::kOk;
    return fail(Error::kInvalidArgument, "--partition %.*s: key needs an IDX file, key:FILE", RUNNEL_TEXT(text));
  }
  if (text == "speaker") {
    spec.kind = PartitionKind::kSpeaker;
    return Error::kOk;
  }
  return fail(Error::kInvalidArgument,
              "--partition \"%.*s\": none of iid, dirichlet:ALPHA, shards:K, key:IDX_FILE and speaker",
              RUNNEL_TEXT(text));
}

Failure parse_scale(std::string_view text, std::optional<float>& scale) {
  const auto [numerator_text, denominator_text] = split_pair(text, '/');
  double numerator = 0.0;
  double denominator = 1.0;
  const bool fraction = numerator_text.size() != text.size();
  const bool parsed =
      parse_whole(numerator_text, numerator) && (!fraction || parse_whole(denominator_text, denominator));
  const auto value = static_cast<float>(numerator / denominator);
  if (!parsed || !std::isfinite(value) || value == 0.0F) {
    return fail(Error::kInvalidArgument, "--scale \"%.*s\": not a number other than 0, nor a fraction such as 1/255",
                RUNNEL_TEXT(text));
  }
  scale = value;
  return Error::kOk;
}

Failure check_together(const DataSpec& spec) {
  const PartitionKind partition = spec.partition.kind;
  const bool by_label = partition == PartitionKind::kDirichlet || partition == PartitionKind::kShards;
  if (spec.kind == DataKind::kText) {
    if (partition != PartitionKind::kSpeaker && partition != PartitionKind::kIid)
      return fail(Error::kInvalidArgument, "--partition: text is dealt by speaker or iid");
    if (!spec.split_path.empty())
      return fail(Error::kInvalidArgument, "--split: of text, the last tenth of what each speaker says is for testing");
    if (spec.scale) return fail(Error::kInvalidArgument, "--scale: the characters of a text are not scaled");
    return Error::kOk;
  }
  if (partition == PartitionKind::kSpeaker) {
    return fail(Error::kInvalidArgument, "--partition speaker: only text has speakers");
  }
  if (spec.target_count > 0 && by_label)
    return fail(Error::kInvalidArgument, "--partition: without labels, rows are dealt iid or by key:IDX_FILE");
  if (spec.kind == DataKind::kGenerated) {
    if (!spec.split_path.empty()) {
      return fail(Error::kInvalidArgument, "--split %.*s: generated data has its own test set",
                  RUNNEL_TEXT(spec.split_path));
    }
    if (partition == PartitionKind::kShards || partition == PartitionKind::kKey) {
      return fail(Error::kInvalidArgument, "--partition: generated data takes iid or dirichlet:ALPHA only");
    }
  } else if (!spec.split_path.empty() && !spec.test_path.empty()) {
    return fail(Error::kInvalidArgument, "--split %.*s together with test files in --data: give one of the two",
                RUNNEL_TEXT(spec.split_path));
  }
  return Error::kOk;
}

}  // namespace

Result<DataSpec> parse_data_spec(std::string_view data, std::string_view partition, std::string_view split,
                                 std::string_view scale) {
  DataSpec spec;
  RUNNEL_TRY(parse_data(data, spec));
  if (spec.kind == DataKind::kGenerated) {
    spec.partition.kind = PartitionKind::kDirichlet;
    spec.partition.alpha = kGeneratedLabelAlpha;
  }
  if (spec.kind == DataKind::kText) spec.partition.kind = PartitionKind::kSpeaker;
  if (!partition.empty()) RUNNEL_TRY(parse_partition(partition, spec.partition));
  spec.split_path = split;
  if (!scale.empty()) RUNNEL_TRY(parse_scale(scale, spec.scale));
  RUNNEL_TRY(check_together(spec));
  return spec;
}

}  // namespace runnel::data
