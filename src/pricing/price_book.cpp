// price_book.cpp - look-up of prices by name, place and time.
#include "finops/pricing/price_book.hpp"

#include <algorithm>
#include <cctype>
#include <set>

#include "finops/base/error.hpp"
#include "pricing/names.hpp"

namespace finops {
namespace {

using pricing::fold;

// "H100" names "H100-80GB"; "A100-80GB" names itself.
bool names_gpu(const std::string& folded_name, const std::string& gpu) {
  const std::string folded_gpu = fold(gpu);
  return folded_gpu == folded_name ||
         (folded_gpu.size() > folded_name.size() && folded_gpu.starts_with(folded_name) &&
          folded_gpu[folded_name.size()] == '-');
}

bool is_valid_at(const PriceRow& row, UtcTime at) {
  return row.valid_from <= at && (row.valid_to == UtcTime{} || at < row.valid_to);
}

bool fits_place(const PriceRow& row, const Resource& resource) {
  const bool fits_provider =
      resource.provider.empty() || fold(resource.provider) == fold(row.provider);
  const bool fits_region = resource.region.empty() || fold(resource.region) == fold(row.region) ||
                           fold(resource.region) == fold(row.zone);
  return fits_provider && fits_region && row.pricing_category == resource.pricing_category;
}

[[noreturn]] void fail_ambiguous(const Resource& resource, const std::set<std::string>& choices) {
  std::string list;
  for (const std::string& choice : choices) {
    list += (list.empty() ? "" : ", ") + choice;
  }
  detail::throw_error(ErrorCode::AmbiguousResource, "'" + resource.text +
                                                        "' fits several prices: " + list +
                                                        "; name one of them, or give price=");
}

Quote make_quote(const PriceRow& row, const Resource& resource) {
  Quote quote;
  quote.price = row;
  const bool is_machine = fold(row.instance_type) == fold(resource.name) || row.gpu_count == 0;
  quote.used_micro_gpus = resource.micro_count;
  quote.block_micro_gpus = is_machine ? kMicrosPerUnit : row.gpu_count * kMicrosPerUnit;
  if (row.source_date == "unknown") {
    quote.warnings.push_back("the date of the price " + row.sku_id + " is unknown; set your own " +
                             "with: finops prices set");
  }
  return quote;
}

// What a user set counts before what the book says; of several the one set last. A price for one
// place holds there alone, not for a bare name, and one for "A100-80GB" does not settle which of
// several "A100" means.
const PriceRow* newest_user_price(const std::vector<const PriceRow*>& rows,
                                  const Resource& resource, bool is_one_gpu) {
  const std::string name = fold(resource.name);
  const PriceRow* newest = nullptr;
  for (const PriceRow* row : rows) {
    const bool fits = is_one_gpu || fold(row->gpu) == name || fold(row->instance_type) == name;
    const bool holds = row->is_default || !resource.provider.empty();
    if (row->is_user_set && fits && holds &&
        (newest == nullptr || row->valid_from >= newest->valid_from)) {
      newest = row;
    }
  }
  return newest;
}

// Of several editions of one SKU the latest counts.
std::vector<const PriceRow*> latest_editions(std::vector<const PriceRow*> rows) {
  std::stable_sort(rows.begin(), rows.end(), [](const PriceRow* a, const PriceRow* b) {
    return a->sku_id != b->sku_id ? a->sku_id < b->sku_id : a->valid_from > b->valid_from;
  });
  const auto same_sku = [](const PriceRow* a, const PriceRow* b) { return a->sku_id == b->sku_id; };
  rows.erase(std::unique(rows.begin(), rows.end(), same_sku), rows.end());
  return rows;
}

}  // namespace

void PriceBook::add(PriceRow row) {
  if (row.price_id.empty()) {
    row.price_id = make_price_id(row);
  }
  if (row.is_default && !row.is_user_set) {
    for (PriceRow& other : rows_) {
      const bool same_name = !row.gpu.empty() && fold(other.gpu) == fold(row.gpu);
      other.is_default = other.is_default && !(same_name && row.sku_id != other.sku_id);
    }
  }
  rows_.push_back(std::move(row));
}

std::vector<const PriceRow*> PriceBook::rows_named(const Resource& resource) const {
  const std::string name = fold(resource.name);
  std::vector<const PriceRow*> machines;
  std::vector<const PriceRow*> gpus;
  for (const PriceRow& row : rows_) {
    if (!row.instance_type.empty() && fold(row.instance_type) == name) {
      machines.push_back(&row);
    } else if (!row.gpu.empty() && names_gpu(name, row.gpu)) {
      gpus.push_back(&row);
    }
  }
  return machines.empty() ? gpus : machines;
}

std::optional<Quote> PriceBook::quote(const Resource& resource, UtcTime at) const {
  const std::vector<const PriceRow*> named = rows_named(resource);
  if (named.empty()) {
    std::set<std::string> known;
    for (const PriceRow& row : rows_) {
      known.insert(row.gpu);
      known.insert(row.instance_type);
    }
    detail::throw_error(ErrorCode::UnknownResource,
                        "unknown GPU or machine '" + resource.name +
                            "'; nearest: " + pricing::nearest_names(resource.name, known) +
                            "; or give price=, or add it with: finops prices set");
  }
  std::set<std::string> gpu_names;
  std::vector<const PriceRow*> fitting;
  for (const PriceRow* row : named) {
    if (fits_place(*row, resource) && is_valid_at(*row, at)) {
      fitting.push_back(row);
      gpu_names.insert(row->gpu);
    }
  }
  if (const PriceRow* set_by_hand = newest_user_price(fitting, resource, gpu_names.size() == 1)) {
    return make_quote(*set_by_hand, resource);
  }
  if (gpu_names.size() > 1) {
    fail_ambiguous(resource, gpu_names);
  }
  fitting = latest_editions(std::move(fitting));
  if (fitting.empty()) {
    return std::nullopt;
  }
  if (fitting.size() == 1) {
    return make_quote(*fitting.front(), resource);
  }
  std::set<std::string> choices;
  for (const PriceRow* row : fitting) {
    if (row->is_default) {
      return make_quote(*row, resource);
    }
    choices.insert(row->instance_type + "@" + row->provider + ":" +
                   (row->zone.empty() ? row->region : row->zone));
  }
  fail_ambiguous(resource, choices);
}

Quote PriceBook::quote_explicit(std::string_view price_text,
                                const std::optional<Resource>& resource) const {
  const PriceText price = parse_price(price_text);
  PriceRow row;
  row.sku_id = "argument:" + std::string(price_text);
  std::erase(row.sku_id, ' ');
  row.provider = "argument";
  row.list_unit_price = price.amount;
  row.source = "price= argument";
  row.source_date = "as given";
  Quote quote;
  if (price.is_per_gpu) {
    FINOPS_REQUIRE(resource.has_value(), ErrorCode::InvalidArgument,
                   "price='" + std::string(price_text) +
                       "' is per GPU, but no resource says how many; give resources=\"8xH100\" or "
                       "a price of the whole such as 24 USD/h");
    row.gpu_count = 1;
    quote.used_micro_gpus = resource->micro_count;
    quote.block_micro_gpus = kMicrosPerUnit;
    const std::vector<const PriceRow*> named = rows_named(*resource);
    if (!named.empty() && fold(named.front()->instance_type) == fold(resource->name)) {
      FINOPS_REQUIRE(named.front()->gpu_count > 0, ErrorCode::InvalidArgument,
                     "price='" + std::string(price_text) +
                         "' is per GPU, but nobody knows how "
                         "many '" +
                         resource->name + "' has; give a price of the whole");
      quote.used_micro_gpus *= named.front()->gpu_count;  // GPUs of that machine
    }
  }
  row.price_id = make_price_id(row);
  quote.price = std::move(row);
  return quote;
}

PriceRow PriceBook::make_user_price(std::string_view name, std::string_view price_text,
                                    std::string_view who, UtcTime valid_from) const {
  const PriceText price = parse_price(price_text);
  const Resource resource = parse_resource(name);
  FINOPS_REQUIRE(resource.micro_count == kMicrosPerUnit, ErrorCode::InvalidArgument,
                 "a price is set for one GPU or machine, not for '" + std::string(name) +
                     "'; write the name alone");
  PriceRow row;
  row.provider = resource.provider.empty() ? "local" : resource.provider;
  row.region = resource.region;
  row.pricing_category = resource.pricing_category;
  row.list_unit_price = price.amount;
  row.valid_from = valid_from;
  row.source = "set by " + std::string(who);
  row.source_date = format_utc(valid_from).substr(0, 10);
  row.is_default = resource.provider.empty();
  row.is_user_set = true;
  if (price.is_per_gpu) {
    std::set<std::string> gpu_names;
    for (const PriceRow* known : rows_named(resource)) {
      gpu_names.insert(known->gpu);
    }
    row.gpu = gpu_names.size() == 1 ? *gpu_names.begin() : resource.name;
    row.gpu_count = 1;
  } else {
    row.instance_type = resource.name;
  }
  row.sku_id = row.provider + ":" + (price.is_per_gpu ? row.gpu : row.instance_type) +
               (row.region.empty() ? "" : ":" + row.region);
  row.price_id = make_price_id(row);
  return row;
}

}  // namespace finops
