// problems.cpp - what a person should look at: clocks, currencies, negative sums, ids that look
// alike.
//
// What proves that clocks differ depends on the sentence. A fork, a retry and a part begin after
// what they come from. A result exists from its first producer on, and later ones begin after it.
// What is read, or deployed, may be younger than the reader, but not than the reading.
#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "genealogy/parts.hpp"

namespace finops::genealogy {
namespace {

std::string span_text(UtcTime earlier, UtcTime later) {
  const Int128 nanoseconds =
      Int128{later.time_since_epoch().count()} - earlier.time_since_epoch().count();
  constexpr std::int64_t kSecond = 1'000'000'000;
  return nanoseconds >= kSecond ? int128_text(nanoseconds / kSecond) + " s"
                                : int128_text(nanoseconds) + " ns";
}

// The id without what nobody sees: case of ASCII letters, blanks.
std::string folded(const std::string& node_id) {
  std::string result;
  for (const char c : node_id) {
    if (c != ' ') {
      result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  return result;
}

class ProblemFinder {
 public:
  explicit ProblemFinder(const GenealogyParts& parts) : parts_(parts) {}

  std::vector<Problem> find_all() {
    find_late_origins();
    find_late_producers();
    find_other_currencies();
    find_negative_sums();
    find_lookalikes();
    std::ranges::sort(problems_, [](const Problem& lhs, const Problem& rhs) {
      return lhs.node_id != rhs.node_id ? lhs.node_id < rhs.node_id : lhs.text < rhs.text;
    });
    if (hidden_count_ > 0) {
      problems_.push_back({NodeId{}, std::to_string(hidden_count_) + " more problems"});
    }
    return std::move(problems_);
  }

 private:
  // `make_text` is called only if the text will be shown.
  template <class MakeText>
  void note(NodeIndex node, MakeText make_text) {
    if (problems_.size() < kMostProblems) {
      problems_.push_back({parts_.names.id(node), make_text()});
    } else {
      ++hidden_count_;
    }
  }

  [[nodiscard]] UtcTime created_at(NodeIndex node) const { return parts_.facts[node].created_at; }

  // `origin` must be created before `time`.
  void require_before(NodeIndex origin, NodeIndex node, UtcTime time, const char* what,
                      const Sentence& sentence) {
    const UtcTime origin_time = created_at(origin);
    if (origin_time != UtcTime{} && time != UtcTime{} && time < origin_time) {
      note(node, [&] {
        return std::string(what) + " " + span_text(time, origin_time) + " before " +
               parts_.names.id(origin).str() + " was created (" +
               finops::sentence(edge_of(sentence, parts_.names)) + "): clocks differ";
      });
    }
  }

  void find_late_origins() {
    for (const Sentence& sentence : parts_.sentences) {
      const Need need = need_of(sentence);
      switch (sentence.kind) {
        case EdgeKind::NestedIn:
          require_before(sentence.object, sentence.subject, created_at(sentence.subject), "created",
                         sentence);
          break;
        case EdgeKind::ForkedFrom:
        case EdgeKind::RetriedAs:
          require_before(need.needed, need.needer, created_at(need.needer), "created", sentence);
          break;
        case EdgeKind::Read:
        case EdgeKind::DeployedAs: require_before_use(need, sentence); break;
        case EdgeKind::Produced: break;  // find_late_producers
      }
    }
  }

  void require_before_use(Need need, const Sentence& sentence) {
    if (sentence.recorded_at != UtcTime{}) {
      require_before(need.needed, need.needer, sentence.recorded_at, "recorded", sentence);
    } else {
      require_before(need.needed, need.needer, created_at(need.needer), "created", sentence);
    }
  }

  void find_late_producers() {
    std::unordered_map<NodeIndex, const Sentence*> first;  // by product
    for (const Sentence& sentence : parts_.sentences) {
      if (sentence.kind == EdgeKind::Produced) {
        const Sentence*& known = first.try_emplace(sentence.object, &sentence).first->second;
        if (is_earlier(sentence.subject, known->subject)) {
          known = &sentence;
        }
      }
    }
    for (const Sentence& sentence : parts_.sentences) {  // in a stated order, unlike the map
      if (sentence.kind == EdgeKind::Produced && first.at(sentence.object) == &sentence) {
        require_before(sentence.subject, sentence.object, created_at(sentence.object), "created",
                       sentence);
      }
    }
  }

  // A time that is not known may be any, so such a producer counts as the first.
  [[nodiscard]] bool is_earlier(NodeIndex lhs, NodeIndex rhs) const {
    return created_at(lhs) != created_at(rhs) ? created_at(lhs) < created_at(rhs)
                                              : parts_.is_less(lhs, rhs);
  }

  void find_other_currencies() {
    std::vector<NodeIndex> nodes;
    nodes.reserve(parts_.other_costs.size());
    for (const auto& [node, sums] : parts_.other_costs) {
      nodes.push_back(node);
    }
    std::ranges::sort(nodes);
    for (const NodeIndex node : nodes) {
      note(node, [&] {
        std::string amounts;
        for (const auto& [currency, sum] : parts_.other_costs.at(node)) {
          amounts += (amounts.empty() ? "" : " and ") + sum.str();
        }
        return "cost " + amounts + ", which is not in any sum of " + parts_.currency.str() +
               "; record it in " + parts_.currency.str();
      });
    }
    for (const BusinessValue& value : parts_.values.records) {
      if (value.amount.currency() != parts_.currency) {
        note(*parts_.names.find(value.node_id), [&] {
          return "value " + value.value_id.str() + " of " + value.amount.str() +
                 " is not in any sum of " + parts_.currency.str() + "; record it in " +
                 parts_.currency.str();
        });
      }
    }
  }

  void find_negative_sums() {
    for (NodeIndex node = 0; node < parts_.names.size(); ++node) {
      if (parts_.own_cost(node).is_negative()) {
        note(node, [&] {
          return "its own costs add up to " + parts_.own_cost(node).str() +
                 ", below zero: a correction takes back more than was recorded";
        });
      }
    }
  }

  void find_lookalikes() {
    std::unordered_map<std::string, NodeIndex> least;
    for (NodeIndex node = 0; node < parts_.names.size(); ++node) {
      NodeIndex& known = least.try_emplace(folded(parts_.names.id(node).str()), node).first->second;
      known = parts_.is_less(node, known) ? node : known;
    }
    if (least.size() == parts_.names.size()) {
      return;
    }
    for (NodeIndex node = 0; node < parts_.names.size(); ++node) {
      const NodeIndex known = least.at(folded(parts_.names.id(node).str()));
      if (known != node) {
        note(node, [&] {
          return "differs from " + parts_.names.id(known).str() +
                 " only in case or blanks: one node under two names?";
        });
      }
    }
  }

  const GenealogyParts& parts_;
  std::vector<Problem> problems_;
  std::int64_t hidden_count_ = 0;
};

}  // namespace

std::vector<Problem> Genealogy::problems() const { return ProblemFinder(*parts_).find_all(); }

}  // namespace finops::genealogy
