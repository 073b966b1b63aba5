#include "runtime/host/text_file.h"

#include <array>
#include <string>
#include <vector>

#include "runtime/data/partition.h"
#include "runtime/data/text_windows.h"
#include "runtime/host/gzip_file.h"

namespace runnel::host {
namespace {

using data::Dataset;
using data::DataSpec;
using data::Speaker;

Result<std::string> read_text(const std::string& path) {
  Result<GzipFile> file = GzipFile::open(path);
  if (!file.ok()) return file.failure();
  std::string text;
  std::array<uint8_t, 16384> piece;
  for (;;) {
    const Result<size_t> read = file->read(piece);
    if (!read.ok()) return read.failure();
    text.append(reinterpret_cast<const char*>(piece.data()), *read);
    if (text.size() > kTextBytesMax) return fail(Error::kLimit, "%s: more than %zu bytes", path.c_str(), kTextBytesMax);
    if (*read < piece.size()) return text;
  }
}

Result<std::vector<Speaker>> read_speakers(const DataSpec& spec) {
  const Result<std::string> text = read_text(spec.train_path);
  if (!text.ok()) return text.failure();
  std::vector<Speaker> speakers = data::split_speakers(*text);
  if (speakers.empty()) {
    return fail(Error::kNotFound,
                "%s: nobody speaks; blocks end at empty lines and begin with a NAME:", spec.train_path.c_str());
  }
  if (spec.speakers > speakers.size()) {
    return fail(Error::kInvalidArgument, "%s: %zu speakers, not speakers=%u", spec.train_path.c_str(), speakers.size(),
                spec.speakers);
  }
  if (spec.speakers > 0) speakers.resize(spec.speakers);
  return speakers;
}

Failure fail_no_window(const DataSpec& spec, const char* whose) {
  return fail(Error::kNotFound, "%s: %s less than one window of %u characters", spec.train_path.c_str(), whose,
              spec.window);
}

}  // namespace

Result<Dataset> load_text_part(const DataSpec& spec, uint32_t index, uint32_t count, uint64_t seed) {
  const Result<std::vector<Speaker>> speakers = read_speakers(spec);
  if (!speakers.ok()) return speakers.failure();
  std::vector<std::string_view> texts;
  if (spec.partition.kind == data::PartitionKind::kSpeaker) {
    if (count > speakers->size()) {
      return fail(Error::kInvalidArgument, "%s: %u devices, but %zu speakers", spec.train_path.c_str(), count,
                  speakers->size());
    }
    texts.push_back(data::training_text((*speakers)[index].text));
    Dataset part = data::text_windows(texts, spec.window);
    if (part.example_count() == 0) return fail_no_window(spec, (*speakers)[index].name.c_str());
    return part;
  }
  for (const Speaker& speaker : *speakers) texts.push_back(data::training_text(speaker.text));
  const std::vector<uint16_t> labels(data::count_text_windows(texts, spec.window));
  const Result<data::Partition> partition = data::Partition::by_labels(spec.partition, labels, count, seed);
  if (!partition.ok()) return Failure(partition.failure()).prefix("%s", spec.train_path.c_str());
  return data::text_windows(texts, spec.window, partition->rows_of(index));
}

Result<Dataset> load_text_test_set(const DataSpec& spec) {
  const Result<std::vector<Speaker>> speakers = read_speakers(spec);
  if (!speakers.ok()) return speakers.failure();
  std::vector<std::string_view> texts;
  for (const Speaker& speaker : *speakers) texts.push_back(data::test_text(speaker.text));
  Dataset tests = data::text_windows(texts, spec.window);
  if (tests.example_count() == 0) return fail_no_window(spec, "the last tenths have");
  return tests;
}

}  // namespace runnel::host
