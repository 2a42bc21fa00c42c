// fuzz_intents.cpp - the journal of intents, as a crash, a full disk or somebody else left it.
//
// Invariants: what is whole is read, what is not is free; appending and importing go on; nothing
// that waits is lost.
#include <algorithm>

#include "agent/intents.hpp"
#include "fuzz.hpp"

namespace {

using namespace finops;  // NOLINT(google-build-using-namespace): a target, not a library

const fuzz::TempFolder kFolder;
constexpr std::size_t kRecord = agent::IntentJournal::kRecordSize;
constexpr std::size_t kRecords = 16;  // as many as are filled; the rest of the file is zero

// The layout's checksum, a second time, so that inputs come past it: FNV-1a with itself at zero.
void seal(std::string& record) {
  constexpr std::size_t kChecksumAt = 36;
  constexpr std::uint64_t kMagic = 0x746e'6574'6e69'6631;
  std::memcpy(record.data(), &kMagic, sizeof kMagic);
  std::fill_n(record.begin() + kChecksumAt, 4, '\0');
  std::uint32_t hash = 2'166'136'261U;
  for (const char c : record) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 16'777'619U;
  }
  std::memcpy(record.data() + kChecksumAt, &hash, sizeof hash);
}

std::string journal_of(fuzz::Bytes& bytes) {
  std::string file;
  while (!bytes.empty() && file.size() < kRecords * kRecord) {
    std::string record(kRecord, '\0');
    const bool is_whole = bytes.chance();
    bytes.copy_to(record.data() + 8, bytes.raw<std::uint16_t>() % (kRecord - 8));
    if (is_whole) {
      seal(record);
    }
    file += record;
  }
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes bytes(data, size);
  const std::string path = kFolder / "intents.journal";
  const bool is_short = bytes.byte() == 255;
  fuzz::write_private_file(path, journal_of(bytes));
  if (!is_short) {
    fuzz::require(truncate(path.c_str(), kRecord * agent::IntentJournal::kRecordCount) == 0, path);
  }
  agent::IntentJournal journal(path);
  fuzz::is_allowed([&] { journal.prepare(); });  // makes a short one whole
  const std::size_t waiting = journal.pending().size();
  DecisionRecord decision;
  decision.attempt_id = AttemptId{"run-1"};
  decision.reason = "why";
  if (fuzz::is_allowed([&] { journal.append(decision); })) {
    fuzz::require(journal.pending().size() == waiting + 1, "what was appended waits");
  }
  std::size_t seen = 0;
  if (fuzz::is_allowed([&] {
        journal.import_each([&](const DecisionRecord& intent) {
          fuzz::require(intent.rule <= Rule::Idle && intent.rung <= Rung::Sigkill, "in range");
          return ++seen % 2 == 0;
        });
      })) {
    fuzz::require(journal.pending().size() == seen - seen / 2, "what was taken waits no more");
  }
  return 0;
}
