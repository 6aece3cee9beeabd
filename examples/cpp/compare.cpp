// A against B: a TorchScript module and an AOTInductor package on the same items at once.
//
//     compare A.pt B.pt2
//
// Both take x, fp32 [batch, 1], such as member_0.pt and member_0.pt2 of
// examples/python/export_ensemble.py: the same model before and after it was compiled.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <vector>

#include <toolpool.hpp>

namespace {

constexpr std::size_t points = 2000;

/// Time of the slots for a job's batches, in milliseconds, and how many slots loaded the model.
void print_row(const char *name, const toolpool::Job &job) {
    const toolpool::Report report = job.report();
    double busy = 0;
    int loads = 0;
    for (const toolpool::SlotReport &slot : report.slots()) {
        busy += slot.busy_s;
        loads += slot.load_s > 0;
    }
    std::printf("%s  %7.2f  %5d\n", name, 1e3 * busy, loads);
}

void compare(const char *file_a, const char *file_b) {
    toolpool::Pool pool; // auto
    const toolpool::Tool a{"torchscript", file_a};
    const toolpool::Tool b{"aoti", file_b, {{"batch_fill", 2}}}; // as torch.export compiles
    std::vector<std::vector<float>> xs;
    for (std::size_t i = 0; i < points; ++i)
        xs.push_back({static_cast<float>(i) / points});
    const auto items = toolpool::Items::tensors(std::move(xs));

    toolpool::Job job_a = pool.submit(a, items), job_b = pool.submit(b, items);
    const toolpool::Results results_a = job_a.results(), results_b = job_b.results();

    float most = 0;
    std::size_t failed = 0;
    for (std::size_t i = 0; i < points; ++i) {
        if (!results_a[i].ok() || !results_b[i].ok())
            ++failed;
        else
            most = std::max(most, std::abs(results_a[i]["output"].as<float>()[0] -
                                           results_b[i]["output"].as<float>()[0]));
    }
    std::puts("   busy ms  loads");
    print_row("A", job_a);
    print_row("B", job_b);
    std::printf("\n%zu items, %zu failed; they differ by %.2g at most\n", points, failed,
                static_cast<double>(most));
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 3) {
        std::cerr << "usage: compare A.pt B.pt2\n";
        return argc < 2 ? 77 : 2; // Without models there is nothing to test.
    }
    try {
        compare(argv[1], argv[2]);
    } catch (const toolpool::Error &error) {
        std::cerr << "compare: " << error.what() << '\n';
        return 1;
    }
}
