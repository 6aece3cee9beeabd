// Embeds two proteins in child processes: `consumer_cpp MODEL` prints the embeddings.
#include <cstdio>
#include <exception>
#include <toolpool.hpp>

static_assert(TOOLPOOL_VERSION_MAJOR == 0, "toolpool.hpp brings toolpool.h");

int main(int, char **argv) try {
    toolpool::Pool pool{"cpu*2"};
    const toolpool::Tool esm2{"esm2", argv[1], {{"isolation", "process"}}};
    for (auto &&item : pool.run(esm2, {"MKTLLILAVVAAALA", "GAVLTVLLGGLLLA"}))
        for (const float value : item["mean"].as<float>())
            std::printf("%.9g\n", value);
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
