// Two steps of each optimiser against the update rules, segment by segment.
#include "check.h"
#include "../../src/ops/optimiser/kernel.cu"

// Decaying and adapted; plain; one element; adapted with zero gradient; adapted with zero weights, not decaying;
// adapted with a gradient whose norm is of the order of 1e-8. Of three beginnings at a multiple of four, none ends at one.
// Blocks of 256 elements.
static const uint64_t START[] = {0, 703, 736, 737, 777, 804}, END[] = {703, 736, 737, 777, 804, 814}, FLAGS[] = {3, 0, 1, 3, 2, 2};
static const int COUNT = 6, TOTAL = 814, ELEMENTS = 256;
static const uint64_t HALF = 4;

// The segments and blocks as cuda.rs makes them; those of `mixed` have a gradient in bf16.
struct Plan {
    std::vector<uint64_t> segments;
    std::vector<uint32_t> blocks;
    explicit Plan(bool mixed) {
        for (int s = 0; s < COUNT; s++) {
            const uint64_t length = END[s] - START[s], count = ceil_div(length, ELEMENTS);
            for (uint64_t number : {START[s], length, FLAGS[s] | (mixed && s < 3 ? HALF : 0), (uint64_t)blocks.size(), count, (uint64_t)ELEMENTS})
                segments.push_back(number);
            blocks.insert(blocks.end(), count, (uint32_t)s);
        }
    }
};

static void start(Buffer<float> &w, Buffer<float> &g) {
    w.fill_normal(0, 0.3);
    g.fill_normal();
    for (int k = 737; k < 777; k++) g[k] = 0;
    for (int k = 777; k < 804; k++) w[k] = 0;
    for (int k = 804; k < 814; k++) g[k] *= 1e-8f;
}

// Moves the gradients that are in bf16 there, and returns what a step sees.
static std::vector<double> split(Buffer<float> &g, Buffer<bf16> &half, bool mixed) {
    std::vector<double> seen = g.values();
    for (uint64_t k = 0; mixed && k < END[2]; k++) half[k] = rounded<bf16>(g[k]), seen[k] = number(half[k]), g[k] = NAN;
    return seen;
}

static void momentum(bool lars, bool mixed) {
    const Plan plan(mixed);
    const unsigned blocks = plan.blocks.size();
    Buffer<float> w(TOTAL), v(TOTAL), g(TOTAL), settings(8), partial(2 * blocks);
    Buffer<bf16> half(TOTAL), half_gradient(TOTAL);
    start(w, g);
    const std::vector<double> gradient = split(g, half_gradient, mixed);
    const bf16 *halves = mixed ? half_gradient.data() : nullptr;
    v.fill(0);
    const double rate = 0.2, decay = 0.01, momentum = 0.9, trust = 0.001;
    settings[0] = rate, settings[1] = decay, settings[2] = momentum, settings[3] = trust;
    std::vector<double> weights = w.values(), velocity(TOTAL);
    for (int step = 0; step < 2; step++) {
        for (int s = 0; s < COUNT; s++) {
            double ww = 0, gg = 0, scale = 1, lambda = FLAGS[s] & 1 ? decay : 0;
            for (uint64_t k = START[s]; k < END[s]; k++) ww += weights[k] * weights[k], gg += gradient[k] * gradient[k];
            if (lars && (FLAGS[s] & 2)) {
                if (ww != 0 && gg != 0) scale = trust * sqrt(ww) / (sqrt(gg) + lambda * sqrt(ww) + 1e-8);
                else lambda = 0;
            }
            for (uint64_t k = START[s]; k < END[s]; k++) {
                velocity[k] = momentum * velocity[k] + (gradient[k] + lambda * weights[k]) * scale;
                weights[k] -= rate * velocity[k];
            }
        }
        if (lars)
            emulate::launch({blocks}, {32}, [&] {
                optimiser_square_sums(w.data(), g.data(), halves, plan.segments.data(), plan.blocks.data(), partial.data());
            });
        emulate::launch({blocks}, {32}, [&] {
            optimiser_momentum(w.data(), v.data(), g.data(), halves, plan.segments.data(), plan.blocks.data(), settings.data(),
                               lars ? partial.data() : nullptr, half.data());
        });
    }
    const std::string name = std::string(lars ? "optimiser LARS" : "optimiser SGD") + (mixed ? ", bf16 gradients," : "");
    compare(name + " weights", w, weights, 1e-6);
    compare(name + " velocity", v, velocity, 1e-6);
    compare(name + " bf16 weights", half, weights, 1e-6);
    // The adapted segment alone: its steps are a thousandth of the plain one's.
    Buffer<float> adapted(703);
    for (int k = 0; k < 703; k++) adapted[k] = v[k];
    compare(name + " velocity of adapted", adapted, std::vector<double>(velocity.begin(), velocity.begin() + 703), 2e-6);
    Buffer<float> tiny(10);
    for (int k = 0; k < 10; k++) tiny[k] = v[804 + k];
    compare(name + " velocity of tiny gradient", tiny, std::vector<double>(velocity.begin() + 804, velocity.end()), 2e-6);
}

CHECK(momentum) {
    for (bool lars : {false, true})
        for (bool mixed : {false, true}) momentum(lars, mixed);
}

static void adamw(bool mixed) {
    const Plan plan(mixed);
    Buffer<float> w(TOTAL), m(TOTAL), v(TOTAL), g(TOTAL), settings(9);
    Buffer<bf16> half(TOTAL), half_gradient(TOTAL);
    start(w, g);
    const std::vector<double> gradient = split(g, half_gradient, mixed);
    m.fill(0);
    v.fill(0);
    const double rate = 0.003, decay = 0.05, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
    std::vector<double> weights = w.values(), first(TOTAL), second(TOTAL);
    for (int step = 1; step <= 3; step++) {
        const double correction1 = 1 - pow(beta1, step), correction2 = 1 - pow(beta2, step);
        const double values[] = {rate, decay, beta1, beta2, epsilon, correction1, correction2, 1 - beta1, 1 - beta2};
        for (int k = 0; k < 9; k++) settings[k] = (float)values[k];
        for (int s = 0; s < COUNT; s++) {
            for (uint64_t k = START[s]; k < END[s]; k++) {
                if (FLAGS[s] & 1) weights[k] *= 1 - rate * decay;
                first[k] = beta1 * first[k] + (1 - beta1) * gradient[k];
                second[k] = beta2 * second[k] + (1 - beta2) * gradient[k] * gradient[k];
                weights[k] -= rate * (first[k] / correction1) / (sqrt(second[k] / correction2) + epsilon);
            }
        }
        emulate::launch({(unsigned)plan.blocks.size()}, {32}, [&] {
            optimiser_adamw(w.data(), m.data(), v.data(), g.data(), mixed ? half_gradient.data() : nullptr, plan.segments.data(),
                            plan.blocks.data(), settings.data(), half.data());
        });
    }
    const std::string name = std::string("optimiser AdamW") + (mixed ? ", bf16 gradients," : "");
    compare(name + " weights", w, weights, 1e-6);
    compare(name + " first moment", m, first, 1e-6);
    compare(name + " second moment", v, second, 1e-6);
    compare(name + " bf16 weights", half, weights, 1e-6);
}

CHECK(adamw) {
    for (bool mixed : {false, true}) adamw(mixed);
}
