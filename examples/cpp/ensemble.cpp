// An ensemble: several models at once over one pool, with progress, and their average.
//
//     ensemble MODEL...
//
// The models are those of examples/python/export_ensemble.py (member_0.pt, member_1.pt …).
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include <toolpool.hpp>

namespace {

constexpr std::size_t points = 201;

float x_of(std::size_t point) { return 2.0F * static_cast<float>(point) / (points - 1) - 1; }

/// What the models say at each point.
std::vector<std::vector<float>> run(const std::vector<std::string> &files) {
    toolpool::Pool pool; // auto
    std::vector<std::vector<float>> xs;
    for (std::size_t i = 0; i < points; ++i)
        xs.push_back({x_of(i)});
    const auto items = toolpool::Items::tensors(std::move(xs)); // kept until the jobs let go

    std::vector<toolpool::Job> jobs; // all run now; workers interleave them
    for (const std::string &file : files)
        jobs.push_back(pool.submit(toolpool::Tool{"auto", file}, items));
    while (!jobs.back().wait_for(std::chrono::milliseconds{200}))
        std::cerr << jobs.back().progress().done << '/' << jobs.back().progress().total << '\r';

    std::vector<std::vector<float>> curves;
    for (toolpool::Job &job : jobs) {
        const toolpool::Results results = job.results();
        results.raise_if_partial();
        curves.emplace_back();
        for (auto &&item : results)
            curves.back().push_back(item["output"].as<float>()[0]);
    }
    return curves;
}

void print_table(const std::vector<std::vector<float>> &curves) {
    std::puts("      x   sin(3x)   average  spread");
    for (std::size_t i = 0; i < points; i += (points - 1) / 8) {
        double sum = 0, squares = 0;
        for (const auto &curve : curves)
            sum += static_cast<double>(curve[i]);
        const double mean = sum / static_cast<double>(curves.size());
        for (const auto &curve : curves)
            squares += std::pow(static_cast<double>(curve[i]) - mean, 2);
        const double x = static_cast<double>(x_of(i));
        std::printf("%7.2f  %8.3f  %8.3f  %6.3f\n", x, std::sin(3 * x), mean,
                    std::sqrt(squares / static_cast<double>(curves.size())));
    }
}

} // namespace

int main(int argc, char **argv) {
    const std::vector<std::string> files(argv + 1, argv + argc);
    if (files.empty()) {
        std::cerr << "usage: ensemble MODEL...\n";
        return 77; // Without a model there is nothing to test.
    }
    try {
        print_table(run(files));
    } catch (const toolpool::Error &error) {
        std::cerr << "ensemble: " << error.what() << '\n';
        return 1;
    }
}
