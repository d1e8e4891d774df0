// Two steps of each optimiser against the update rules, segment by segment.
#include "check.h"
#include "../../src/ops/optimiser/kernel.cu"

// Decaying and adapted; plain; one element; adapted with zero gradient; adapted with zero weights, not decaying;
// adapted with a gradient whose norm is of the order of 1e-8.
static const uint64_t SEGMENTS[] = {0, 700, 3, 700, 33, 0, 733, 1, 1, 734, 40, 3, 774, 26, 2, 800, 10, 2};
static const int COUNT = 6, TOTAL = 810;
static const unsigned BLOCKS = 3;

static void start(Buffer<float> &w, Buffer<float> &g) {
    w.fill_normal(0, 0.3);
    g.fill_normal();
    for (int k = 734; k < 774; k++) g[k] = 0;
    for (int k = 774; k < 800; k++) w[k] = 0;
    for (int k = 800; k < 810; k++) g[k] *= 1e-8f;
}

CHECK(momentum) {
    for (int lars : {0, 1}) {
        Buffer<float> w(TOTAL), v(TOTAL), g(TOTAL), settings(8), partial(2 * COUNT * BLOCKS);
        Buffer<bf16> half(TOTAL);
        start(w, g);
        v.fill(0);
        const double rate = 0.2, decay = 0.01, momentum = 0.9, trust = 0.001;
        settings[0] = rate, settings[1] = decay, settings[2] = momentum, settings[3] = trust;
        std::vector<double> weights = w.values(), velocity(TOTAL), gradient = g.values();
        for (int step = 0; step < 2; step++) {
            for (int s = 0; s < COUNT; s++) {
                const uint64_t *segment = SEGMENTS + 3 * s;
                double ww = 0, gg = 0, scale = 1, lambda = segment[2] & 1 ? decay : 0;
                for (uint64_t k = segment[0]; k < segment[0] + segment[1]; k++) ww += weights[k] * weights[k], gg += gradient[k] * gradient[k];
                if (lars && (segment[2] & 2)) {
                    if (ww != 0 && gg != 0) scale = trust * sqrt(ww) / (sqrt(gg) + lambda * sqrt(ww) + 1e-8);
                    else lambda = 0;
                }
                for (uint64_t k = segment[0]; k < segment[0] + segment[1]; k++) {
                    velocity[k] = momentum * velocity[k] + (gradient[k] + lambda * weights[k]) * scale;
                    weights[k] -= rate * velocity[k];
                }
            }
            if (lars)
                emulate::launch({BLOCKS, COUNT}, {64}, [&] { optimiser_square_sums(w.data(), g.data(), SEGMENTS, partial.data()); });
            emulate::launch({BLOCKS, COUNT}, {64}, [&] {
                optimiser_momentum(w.data(), v.data(), g.data(), SEGMENTS, settings.data(), lars ? partial.data() : nullptr, half.data());
            });
        }
        const std::string name = lars ? "optimiser LARS" : "optimiser SGD";
        compare(name + " weights", w, weights, 1e-6);
        compare(name + " velocity", v, velocity, 1e-6);
        compare(name + " bf16 weights", half, weights, 1e-6);
        // The adapted segment alone: its steps are a thousandth of the plain one's.
        Buffer<float> adapted(700);
        for (int k = 0; k < 700; k++) adapted[k] = v[k];
        compare(name + " velocity of adapted", adapted, std::vector<double>(velocity.begin(), velocity.begin() + 700), 2e-6);
        Buffer<float> tiny(10);
        for (int k = 0; k < 10; k++) tiny[k] = v[800 + k];
        compare(name + " velocity of tiny gradient", tiny, std::vector<double>(velocity.begin() + 800, velocity.end()), 2e-6);
    }
}

CHECK(adamw) {
    Buffer<float> w(TOTAL), m(TOTAL), v(TOTAL), g(TOTAL), settings(9);
    Buffer<bf16> half(TOTAL);
    start(w, g);
    m.fill(0);
    v.fill(0);
    const double rate = 0.003, decay = 0.05, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
    std::vector<double> weights = w.values(), first(TOTAL), second(TOTAL), gradient = g.values();
    for (int step = 1; step <= 3; step++) {
        const double correction1 = 1 - pow(beta1, step), correction2 = 1 - pow(beta2, step);
        const double values[] = {rate, decay, beta1, beta2, epsilon, correction1, correction2, 1 - beta1, 1 - beta2};
        for (int k = 0; k < 9; k++) settings[k] = (float)values[k];
        for (int s = 0; s < COUNT; s++) {
            const uint64_t *segment = SEGMENTS + 3 * s;
            for (uint64_t k = segment[0]; k < segment[0] + segment[1]; k++) {
                if (segment[2] & 1) weights[k] *= 1 - rate * decay;
                first[k] = beta1 * first[k] + (1 - beta1) * gradient[k];
                second[k] = beta2 * second[k] + (1 - beta2) * gradient[k] * gradient[k];
                weights[k] -= rate * (first[k] / correction1) / (sqrt(second[k] / correction2) + epsilon);
            }
        }
        emulate::launch({BLOCKS, COUNT}, {64}, [&] {
            optimiser_adamw(w.data(), m.data(), v.data(), g.data(), SEGMENTS, settings.data(), half.data());
        });
    }
    compare("optimiser AdamW weights", w, weights, 1e-6);
    compare("optimiser AdamW first moment", m, first, 1e-6);
    compare("optimiser AdamW second moment", v, second, 1e-6);
    compare("optimiser AdamW bf16 weights", half, weights, 1e-6);
}
