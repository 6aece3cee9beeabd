// Any engine can be pooled: a tool of two lambdas. Here it counts the residues of proteins.
#include <algorithm>
#include <array>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <toolpool.hpp>
#include <vector>

namespace {

/// Stands for an engine that is slow to load, and that one thread at a time may use.
class Engine {
  public:
    explicit Engine(const toolpool::Device &device) {
        std::cerr << "loading onto slot " + std::to_string(device.slot) + "\n";
        for (std::size_t i = 0; i < letters.size(); ++i)
            column_[static_cast<unsigned char>(letters[i])] = static_cast<int>(i);
    }

    void count(std::string_view protein, toolpool::Span<std::int32_t> counts) const {
        std::fill(counts.begin(), counts.end(), 0);
        for (const unsigned char residue : protein) {
            if (column_[residue] < 0)
                throw std::invalid_argument(std::string("unknown residue '") +
                                            static_cast<char>(residue) + "'");
            ++counts[static_cast<std::size_t>(column_[residue])];
        }
    }

    static constexpr std::string_view letters = "ACDEFGHIKLMNPQRSTVWY";

  private:
    std::array<int, 256> column_ = [] {
        std::array<int, 256> none{};
        none.fill(-1);
        return none;
    }();
};

} // namespace

int main() {
    const std::vector<std::string> proteins{"MKTLLILAVVAAALA", "GAVLTVLLGGLLLA", "MKT?",
                                            "MKTLLILAVVAAALA"};
    toolpool::Pool pool{toolpool::Devices::cpu(2)};
    const toolpool::Tool counts = toolpool::Tool::from(
        "counts",
        [](const toolpool::Device &device) { return Engine(device); }, // once on each worker
        [](Engine &engine, toolpool::BatchItem protein, toolpool::ItemOutputs outputs) {
            engine.count(protein.text(), outputs.alloc<std::int32_t>("counts", {20}));
        });

    for (auto &&item : pool.run(counts, proteins)) {
        std::cout << item.index() << ':';
        if (!item.ok()) {
            std::cout << " failed: " << item.error() << '\n'; // this item alone
            continue;
        }
        const auto residues = item["counts"].as<std::int32_t>();
        for (std::size_t i = 0; i < residues.size(); ++i)
            if (residues[i] > 0)
                std::cout << ' ' << Engine::letters[i] << residues[i];
        std::cout << '\n';
    }
}
