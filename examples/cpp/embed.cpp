// Embeds two proteins on every GPU of the machine, or on the CPU.
#include <iostream>
#include <toolpool.hpp>

int main() {
    toolpool::Pool pool; // auto
    toolpool::Tool esm2{"esm2", "facebook/esm2_t6_8M_UR50D", {{"outputs", "mean"}}};
    for (auto &&item : pool.run(esm2, {"MKTLLILAVVAAALA", "GAVLTVLLGGLLLA"}))
        std::cout << item.index() << ' ' << item["mean"].as<float>()[0] << '\n';
}
