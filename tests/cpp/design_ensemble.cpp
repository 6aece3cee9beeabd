// The C++ user's ensemble of the design, word for word, on the CPU:
//
//     design_ensemble A.pt B.pt2
//
// Both models take x, fp32 [batch, 1], and give `output`.
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <vector>

#include <toolpool.hpp>

#include "check.hpp"

namespace {

const std::vector<std::vector<float>> inputs{{0}, {0.25F}, {0.5F}, {0.75F}};
std::vector<float> outputs;

void use(toolpool::Span<const float> output) {
    outputs.insert(outputs.end(), output.begin(), output.end());
}

} // namespace

namespace toolpool {

/// Stands for a pool on all GPUs where there may be none.
struct CpuPool : Pool {
    explicit CpuPool(const std::string &devices) : Pool("cpu*2") { CHECK(devices == "all"); }
};

} // namespace toolpool

#define int void // main() alone may end without a return
#define main ensemble
#define Pool CpuPool
#include "../design/ensemble.cpp"
#undef Pool
#undef main
#undef int

int main(int argc, char **argv) {
    if (argc != 3)
        return 77; // Without models there is nothing to run.
    namespace files = std::filesystem;
    const files::path folder = files::temp_directory_path() / "toolpool_design_ensemble";
    files::remove_all(folder);
    files::create_directory(folder);
    files::create_symlink(argv[1], folder / "a.pt");
    files::create_symlink(argv[2], folder / "b.pt2");
    files::current_path(folder);
    ensemble();
    CHECK(outputs.size() == inputs.size());
    files::current_path("/");
    files::remove_all(folder);
    return failures != 0;
}
