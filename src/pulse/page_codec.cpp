// page_codec.cpp - the bytes of a page's static part and of its checkpoint slots.
//
// The static part: magic, version, size, CRC-32 of the payload, then the payload: integers as 8
// bytes and texts as a 2-byte length with the bytes, in the order of `visit_fields`.
#include <algorithm>
#include <cstring>

#include "finops/base/error.hpp"
#include "finops/pulse/page.hpp"
#include "pulse/page_checksum.hpp"
#include "pulse/shared_bytes.hpp"

namespace finops::pulse {
namespace {

constexpr std::array<char, 8> kMagic{'F', 'I', 'N', 'O', 'P', 'S', 'P', 'G'};

struct Header {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t payload_size;
  std::uint32_t checksum;
  std::uint32_t reserved;
};
constexpr std::size_t kPayloadCapacity = sizeof(StaticPart) - sizeof(Header);

class Writer {
 public:
  explicit Writer(char* out) : out_(out) {}
  void operator()(std::int64_t value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    append(bytes, sizeof value);
  }
  void operator()(const std::string& text) {
    const auto size = static_cast<std::uint16_t>(text.size());
    FINOPS_REQUIRE(text.size() <= 300, ErrorCode::InvalidArgument,
                   "'" + text.substr(0, 20) + "...' is too long: " + std::to_string(text.size()) +
                       " bytes");
    char bytes[sizeof size];
    std::memcpy(bytes, &size, sizeof size);
    append(bytes, sizeof size);
    append(text.data(), text.size());
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  void append(const char* bytes, std::size_t size) {
    FINOPS_REQUIRE(size_ + size <= kPayloadCapacity, ErrorCode::InvalidArgument,
                   "the names of this run are too long together: they must fit in " +
                       std::to_string(kPayloadCapacity) + " bytes");
    std::memcpy(out_ + size_, bytes, size);
    size_ += size;
  }
  char* out_;
  std::size_t size_ = 0;
};

class Reader {
 public:
  Reader(const char* in, std::size_t size) : in_(in), size_(size) {}
  void operator()(std::int64_t& value) {
    if (take(sizeof value)) {
      std::memcpy(&value, in_ + position_ - sizeof value, sizeof value);
    }
  }
  void operator()(std::string& text) {
    std::uint16_t size = 0;
    if (take(sizeof size)) {
      std::memcpy(&size, in_ + position_ - sizeof size, sizeof size);
      if (take(size)) {
        text.assign(in_ + position_ - size, size);
      }
    }
  }
  [[nodiscard]] bool is_whole() const noexcept { return ok_ && position_ == size_; }

 private:
  bool take(std::size_t size) noexcept {
    ok_ = ok_ && size <= size_ - position_;
    position_ += ok_ ? size : 0;
    return ok_;
  }
  const char* in_;
  std::size_t size_;
  std::size_t position_ = 0;
  bool ok_ = true;
};

// The fields that are not plain text or integers, flattened.
struct Flat {
  std::string run_id, attempt_id, boot_id;
  std::int64_t pid = 0, start_ticks = 0, utc = 0, boot = 0, monotonic = 0, flags = 0;
  std::int64_t silence_limit = 0, term = 0, gap = 0, stop = 0, quantum = 0;
  std::int64_t max_duration = 0;
};

// A later version only adds fields at the end.
template <class Visitor, class Info, class FlatType>
void visit_fields(Visitor& visit, Info& info, FlatType& flat, std::uint32_t version) {
  visit(flat.run_id), visit(flat.attempt_id), visit(info.parent_run_id), visit(info.project);
  visit(info.experiment), visit(info.name), visit(info.user_name), visit(info.host);
  visit(info.resource), visit(info.price_id), visit(info.budget_id);
  visit(info.long_running_reason), visit(info.currency), visit(info.price_units);
  visit(info.price_picos), visit(info.used_micro_gpus), visit(info.block_micro_gpus);
  visit(flat.boot_id), visit(flat.pid), visit(flat.start_ticks), visit(flat.utc);
  visit(flat.boot), visit(flat.monotonic), visit(flat.flags), visit(flat.silence_limit);
  visit(flat.term), visit(flat.gap), visit(flat.stop), visit(flat.quantum);
  if (version >= 2) {
    visit(flat.max_duration);
  }
}

Flat flatten(const PageInfo& info) {
  Flat flat;
  flat.run_id = info.run_id.str();
  flat.attempt_id = info.attempt_id.str();
  flat.boot_id = info.process.boot_id;
  flat.pid = info.process.pid;
  flat.start_ticks = static_cast<std::int64_t>(info.process.start_ticks);
  flat.utc = info.started_at.utc.time_since_epoch().count();
  flat.boot = info.started_at.boot.time_since_epoch().count();
  flat.monotonic = info.started_at.monotonic.time_since_epoch().count();
  flat.flags =
      (info.is_command ? 1 : 0) | (info.is_long_running ? 2 : 0) | (info.is_hard_budget ? 4 : 0);
  flat.silence_limit = info.silence_limit.count();
  flat.term = info.lease_term.count();
  flat.gap = info.check_gap.count();
  flat.stop = info.stop_time.count();
  flat.quantum = info.billing_quantum.count();
  flat.max_duration = info.max_duration.count();
  return flat;
}

void unflatten(const Flat& flat, PageInfo& info) {
  info.run_id = RunId{flat.run_id};
  info.attempt_id = AttemptId{flat.attempt_id};
  info.process = {
      .boot_id = flat.boot_id,
      .pid = flat.pid == static_cast<pid_t>(flat.pid) ? static_cast<pid_t>(flat.pid) : 0,
      .start_ticks = static_cast<std::uint64_t>(flat.start_ticks)};
  info.started_at = {.utc = UtcTime{Nanoseconds{flat.utc}},
                     .boot = BootTime{Nanoseconds{flat.boot}},
                     .monotonic = MonotonicTime{Nanoseconds{flat.monotonic}}};
  info.is_command = (flat.flags & 1) != 0;
  info.is_long_running = (flat.flags & 2) != 0;
  info.is_hard_budget = (flat.flags & 4) != 0;
  info.silence_limit = Nanoseconds{flat.silence_limit};
  info.lease_term = Nanoseconds{flat.term};
  info.check_gap = Nanoseconds{flat.gap};
  info.stop_time = Nanoseconds{flat.stop};
  info.billing_quantum = Nanoseconds{flat.quantum};
  info.max_duration = Nanoseconds{flat.max_duration};
}

// A checksum shows damage, not malice: what comes from a file is checked for sense as well.
std::string find_nonsense(const PageInfo& info) {
  if (!is_file_safe(info.attempt_id.str()) || !is_valid_id(info.run_id.str())) {
    return "its ids are malformed";
  }
  if (info.project.empty() || info.experiment.empty()) {
    return "its project or experiment is empty";
  }
  if (info.used_micro_gpus <= 0 || info.block_micro_gpus <= 0 || info.price_units < 0 ||
      info.price_picos < 0 || info.price_picos >= 1'000'000'000'000) {
    return "its price or GPU share is out of range";
  }
  const bool has_currency =
      info.currency.size() == 3 && std::all_of(info.currency.begin(), info.currency.end(),
                                               [](char c) { return c >= 'A' && c <= 'Z'; });
  if (!info.currency.empty() && !has_currency) {
    return "its currency is no currency";
  }
  constexpr Nanoseconds kYear = std::chrono::hours{24 * 366};
  for (const Nanoseconds span : {info.silence_limit, info.max_duration, info.lease_term,
                                 info.check_gap, info.stop_time, info.billing_quantum}) {
    if (span < Nanoseconds::zero() || span > kYear) {
      return "one of its time limits is out of range";
    }
  }
  // Both count from the boot.
  const auto is_uptime = [&](Nanoseconds span) {
    return span >= Nanoseconds::zero() && span <= kCentury;
  };
  if (!is_uptime(info.started_at.boot.time_since_epoch()) ||
      !is_uptime(info.started_at.monotonic.time_since_epoch()) ||
      !is_possible_start(info.started_at.utc)) {
    return "its start is out of range";
  }
  return info.process.pid > 0 ? "" : "its pid is not a pid";
}

std::uint32_t slot_checksum(const CheckpointSlot& slot) noexcept {
  std::array<char, 28 + kMaximumCheckpointPath> bytes{};
  std::memcpy(bytes.data(), &slot.count, 8);
  std::memcpy(bytes.data() + 8, &slot.step, 8);
  std::memcpy(bytes.data() + 16, &slot.confirmed_utc_ns, 8);
  std::memcpy(bytes.data() + 24, &slot.path_size, 4);
  std::memcpy(bytes.data() + 28, slot.path.data(), slot.path.size());
  return crc32(bytes.data(), bytes.size());
}

}  // namespace

void encode(const PageInfo& info, StaticPart& part) {
  std::array<char, kPayloadCapacity> payload{};
  Writer writer(payload.data());
  const Flat flat = flatten(info);
  visit_fields(writer, info, flat, kPageVersion);
  const Header header{.magic = kMagic,
                      .version = kPageVersion,
                      .payload_size = static_cast<std::uint32_t>(writer.size()),
                      .checksum = crc32(payload.data(), writer.size()),
                      .reserved = 0};
  std::memcpy(part.bytes.data(), &header, sizeof header);
  std::memcpy(part.bytes.data() + sizeof header, payload.data(), payload.size());
}

std::optional<PageInfo> decode(const StaticPart& part, std::string& why) {
  StaticPart copy = part;  // read once: the file may change under us
  Header header{};
  std::memcpy(&header, copy.bytes.data(), sizeof header);
  if (header.magic != kMagic) {
    why = "it is not a live page";
    return std::nullopt;
  }
  if (header.version < kOldestPageVersion || header.version > kPageVersion) {
    why = "it has page version " + std::to_string(header.version) + ", this finops knows " +
          std::to_string(kOldestPageVersion) + " to " + std::to_string(kPageVersion);
    return std::nullopt;
  }
  const char* payload = copy.bytes.data() + sizeof header;
  if (header.payload_size > kPayloadCapacity ||
      crc32(payload, header.payload_size) != header.checksum) {
    why = "its checksum is wrong";
    return std::nullopt;
  }
  PageInfo info;
  Flat flat;
  Reader reader(payload, header.payload_size);
  visit_fields(reader, info, flat, header.version);
  unflatten(flat, info);
  why = reader.is_whole() ? find_nonsense(info) : "its fields do not fill it";
  return why.empty() ? std::optional(info) : std::nullopt;
}

void write_checkpoint(PageLayout& page, const PageCheckpoint& checkpoint) {
  FINOPS_REQUIRE(checkpoint.path.size() <= kMaximumCheckpointPath, ErrorCode::InvalidArgument,
                 "the checkpoint's path is longer than " + std::to_string(kMaximumCheckpointPath) +
                     " bytes");
  CheckpointSlot slot{};
  slot.count = checkpoint.count;
  slot.step = checkpoint.step;
  slot.confirmed_utc_ns = checkpoint.confirmed_at.time_since_epoch().count();
  slot.path_size = static_cast<std::uint32_t>(checkpoint.path.size());
  std::memcpy(slot.path.data(), checkpoint.path.data(), checkpoint.path.size());
  slot.checksum = slot_checksum(slot);
  store_bytes(reinterpret_cast<char*>(&page.checkpoints[checkpoint.count % 2]),
              reinterpret_cast<const char*>(&slot), sizeof slot);
  page.process.checkpoint_count.store(checkpoint.count, std::memory_order_release);
}

std::optional<PageCheckpoint> read_checkpoint(const PageLayout& page) {
  std::optional<PageCheckpoint> newest;
  for (const CheckpointSlot& shared : page.checkpoints) {
    CheckpointSlot slot{};
    load_bytes(reinterpret_cast<const char*>(&shared), reinterpret_cast<char*>(&slot), sizeof slot);
    const bool is_whole = slot.count > 0 && slot.path_size <= slot.path.size() &&
                          slot_checksum(slot) == slot.checksum;
    if (is_whole && (!newest || slot.count > newest->count)) {
      newest = PageCheckpoint{.count = slot.count,
                              .step = slot.step,
                              .confirmed_at = UtcTime{Nanoseconds{slot.confirmed_utc_ns}},
                              .path = std::string(slot.path.data(), slot.path_size)};
    }
  }
  return newest;
}

std::string read_reason(const PageLayout& page) {
  std::array<char, sizeof page.reason> reason{};
  load_bytes(page.reason.data(), reason.data(), reason.size());
  return {reason.data(), strnlen(reason.data(), reason.size())};
}

}  // namespace finops::pulse
