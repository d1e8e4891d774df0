// Runs every registered check in three orders of threads; prints one line a kernel. Exit status 1 where anything fails.
#include "check.h"

int main() {
    uint64_t first = 0;
    for (int order = emulate::FORWARD; order <= emulate::INTERLEAVED; order++) {
        emulate::order = (emulate::Order)order;
        digest = 14695981039346656037ULL;
        for (auto &[name, run] : Registry::all()) {
            random_state = 88172645463325252ULL;
            for (const char *c = name; *c; c++) random_state = (random_state ^ (unsigned char)*c) * 1099511628211ULL | 1;
            run();
        }
        if (order == emulate::FORWARD) first = digest;
        if (digest != first) {
            failures++;
            printf("results depend on the order of threads (order %d): a barrier is missing\n", order);
        }
    }
    for (auto &[kernel, w] : worst)
        printf("%s: max error %.2e (tolerance %.2e, %d cases)\n", kernel.c_str(), w.error, w.tolerance, w.cases);
    printf("%zu passed, %d failed\n", worst.size(), failures);
    return failures ? 1 : 0;
}
