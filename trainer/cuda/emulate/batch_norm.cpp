// Batch normalisation against its formulas.
#include "check.h"
#include "../../src/ops/batch_norm/kernel.cu"

struct Kernels32 {
    static constexpr auto moments = batch_norm_moments_f32;
    static constexpr auto apply = batch_norm_apply_f32;
    static constexpr auto reduce = batch_norm_reduce_f32;
    static constexpr auto input_gradient = batch_norm_input_gradient_f32;
};
struct Kernels32Vector {
    static constexpr auto moments = batch_norm_moments_f32_vector;
    static constexpr auto apply = batch_norm_apply_f32_vector;
    static constexpr auto reduce = batch_norm_reduce_f32_vector;
    static constexpr auto input_gradient = batch_norm_input_gradient_f32_vector;
};
struct Kernels16 {
    static constexpr auto moments = batch_norm_moments_bf16;
    static constexpr auto apply = batch_norm_apply_bf16;
    static constexpr auto reduce = batch_norm_reduce_bf16;
    static constexpr auto input_gradient = batch_norm_input_gradient_bf16;
};
struct Kernels16Vector {
    static constexpr auto moments = batch_norm_moments_bf16_vector;
    static constexpr auto apply = batch_norm_apply_bf16_vector;
    static constexpr auto reduce = batch_norm_reduce_bf16_vector;
    static constexpr auto input_gradient = batch_norm_input_gradient_bf16_vector;
};

template <typename T, typename K>
static void one(const char *type, int pack, int64_t rows, int channels, int64_t chunk_rows, bool relu, bool residual, double mean) {
    const int chunks = ceil_div(rows, chunk_rows);
    const size_t size = rows * channels;
    const std::string suffix = std::string(" ") + type;
    Buffer<T> x(size), more(size), y(size), dy(size), dx(size);
    Buffer<float> partial((size_t)chunks * 2 * channels), stats(2 * channels), affine(2 * channels), running(2 * channels), sums(2 * channels);
    x.fill_normal(mean);
    more.fill_normal();
    dy.fill_normal();
    affine.fill_normal(1, 0.5);
    for (int c = 0; c < channels; c++) running[c] = 0.25f, running[channels + c] = 1.5f;

    // Statistics.
    const float epsilon = 1e-5f, momentum = 0.1f;
    const Tiles tiles(channels, pack, chunks), two_runs(channels, pack, 2);
    emulate::launch(tiles.grid, tiles.block, [&] { K::moments(x.data(), partial.data(), rows, channels, chunk_rows); });
    emulate::launch({ceil_div(channels, 8)}, {8, 64}, [&] {
        batch_norm_statistics(partial.data(), stats.data(), running.data(), rows, channels, chunk_rows, chunks, epsilon, momentum);
    });
    std::vector<double> means(channels), inverses(channels), stats_reference(2 * channels), running_reference(2 * channels);
    for (int c = 0; c < channels; c++) {
        double sum = 0, squares = 0;
        for (int64_t r = 0; r < rows; r++) sum += number(x[r * channels + c]);
        means[c] = sum / rows;
        for (int64_t r = 0; r < rows; r++) squares += pow(number(x[r * channels + c]) - means[c], 2);
        inverses[c] = 1 / sqrt(squares / rows + epsilon);
        running_reference[c] = 0.9 * 0.25 + 0.1 * means[c];
        running_reference[channels + c] = 0.9 * 1.5 + 0.1 * squares / (rows - 1);
    }
    // Mean and deviation apart: they differ in size.
    Buffer<float> found_mean(channels), found_inverse(channels);
    for (int c = 0; c < channels; c++) found_mean[c] = stats[c], found_inverse[c] = stats[channels + c];
    compare("batch_norm mean" + suffix, found_mean, means, 1e-6);
    compare("batch_norm inverse deviation" + suffix, found_inverse, inverses, 1e-6 + 5e-9 * fabs(mean));
    compare("batch_norm running" + suffix, running, running_reference, 1e-6);

    // Forward. The reference takes the statistics that the kernel made, so that each kernel is judged alone.
    for (int c = 0; c < channels; c++) means[c] = stats[c], inverses[c] = stats[channels + c];
    T *residual_data = residual ? more.data() : nullptr;
    emulate::launch(two_runs.grid, two_runs.block,
                    [&] { K::apply(x.data(), stats.data(), affine.data(), residual_data, y.data(), rows, channels, relu); });
    std::vector<double> reference(size);
    for (size_t i = 0; i < size; i++) {
        const int c = i % channels;
        reference[i] = affine[c] * (number(x[i]) - means[c]) * inverses[c] + affine[channels + c] + (residual ? number(more[i]) : 0);
        if (relu && reference[i] < 0) reference[i] = 0;
    }
    compare("batch_norm apply" + suffix, y, reference, 2e-6);

    // Backward.
    double scale = 0; // the largest term of dx: with two rows the terms cancel but for epsilon
    std::vector<double> g(size), sums_reference(2 * channels), dx_reference(size);
    for (size_t i = 0; i < size; i++) {
        const int c = i % channels;
        g[i] = relu && number(y[i]) <= 0 ? 0 : number(dy[i]);
        sums_reference[c] += g[i] * (number(x[i]) - means[c]) * inverses[c];
        sums_reference[channels + c] += g[i];
    }
    // The sign of y: read, with dy overwritten; and without a residual also computed again from x, with dy left alone.
    Buffer<T> untouched(size);
    for (size_t i = 0; i < size; i++) untouched[i] = dy[i];
    const std::vector<double> before = dy.values();
    for (bool from_input : {true, false}) {
        if (from_input && residual) continue;
        Buffer<T> &gradient = from_input ? untouched : dy;
        T *y_data = from_input ? nullptr : y.data();
        emulate::launch(tiles.grid, tiles.block, [&] {
            K::reduce(x.data(), y_data, gradient.data(), stats.data(), affine.data(), partial.data(), rows, channels, chunk_rows, relu);
        });
        emulate::launch({ceil_div(2 * channels, 8)}, {8, 64}, [&] { combine_sums(partial.data(), sums.data(), chunks, 2 * channels); });
        compare("batch_norm masked gradient" + suffix, gradient, from_input ? before : g, 0);
        compare("batch_norm parameter gradients" + suffix, sums, sums_reference, 2e-6);
    }
    for (size_t i = 0; i < size; i++) {
        const int c = i % channels;
        scale = fmax(scale, fabs(affine[c] * inverses[c] * g[i]));
        const double normalised = (number(x[i]) - means[c]) * inverses[c];
        dx_reference[i] =
            affine[c] * inverses[c] * (g[i] - sums[channels + c] / (double)rows - normalised * sums[c] / (double)rows);
    }
    for (bool from_input : {true, false}) {
        if (from_input && residual) continue;
        Buffer<T> &gradient = from_input ? untouched : dy;
        emulate::launch(two_runs.grid, two_runs.block, [&] {
            K::input_gradient(x.data(), gradient.data(), stats.data(), affine.data(), sums.data(), dx.data(), rows, channels,
                              from_input && relu);
        });
        compare("batch_norm input gradient" + suffix, dx, dx_reference, 2e-6, scale);
    }
    // In place.
    emulate::launch(two_runs.grid, two_runs.block, [&] {
        K::input_gradient(x.data(), dy.data(), stats.data(), affine.data(), sums.data(), dy.data(), rows, channels, 0);
    });
    compare("batch_norm input gradient" + suffix, dy, dx_reference, 2e-6, scale);
}

CHECK(batch_norm) {
    for (int64_t rows : {2, 3, 37, 150})
        for (int channels : {1, 5, 8, 64, 72, 264})
            for (int64_t chunk_rows : {7, 64, 512}) {
                if (rows * channels > 20000 && chunk_rows != 64) continue;
                const bool relu = (rows + channels) % 2, residual = chunk_rows != 64;
                one<float, Kernels32>("f32", 1, rows, channels, chunk_rows, relu, residual, 0.5);
                one<bf16, Kernels16>("bf16", 1, rows, channels, chunk_rows, relu, residual, 0.5);
                if (channels % 8) continue;
                one<float, Kernels32Vector>("f32 vector", 4, rows, channels, chunk_rows, !relu, residual, 0.5);
                one<bf16, Kernels16Vector>("bf16 vector", 8, rows, channels, chunk_rows, !relu, residual, 0.5);
            }
}

// A mean of 4000 deviations: the textbook sum of squares would keep no digit of the variance.
CHECK(batch_norm_far_mean) { one<float, Kernels32Vector>("f32, mean 4000", 4, 999, 16, 100, true, true, 4000); }

CHECK(batch_norm_running_statistics) {
    const int channels = 301;
    Buffer<float> running(2 * channels), stats(2 * channels);
    std::vector<double> reference(2 * channels);
    for (int c = 0; c < channels; c++) {
        running[c] = (float)normal();
        running[channels + c] = (float)(0.1 + uniform());
        reference[c] = running[c];
        reference[channels + c] = 1 / sqrt(running[channels + c] + 1e-5);
    }
    emulate::launch({1}, {256}, [&] { batch_norm_running_statistics(running.data(), stats.data(), channels, 1e-5f); });
    compare("batch_norm running statistics", stats, reference, 1e-6);
}

// A NaN in one channel stays visible: in y, in the sums, in dx, in the running variance; ReLU's mask lets its gradient
// through.
CHECK(batch_norm_nan) {
    const int rows = 5, channels = 2;
    for (bool residual : {false, true}) {
        Buffer<float> x(rows * channels), y(x.count), dy(x.count), dx(x.count), partial(2 * channels), sums(2 * channels);
        Buffer<float> stats(2 * channels), affine(2 * channels), running(2 * channels), inverse(2 * channels);
        x.fill(1);
        dy.fill(1);
        affine.fill(1);
        running.fill(1);
        x[4] = NAN;
        stats[0] = stats[1] = 0, stats[2] = stats[3] = 1;
        const Tiles tiles(channels, 1, 1);
        emulate::launch(tiles.grid, tiles.block,
                        [&] { batch_norm_apply_f32(x.data(), stats.data(), affine.data(), nullptr, y.data(), rows, channels, 1); });
        int wrong = 0;
        for (int k = 0; k < rows * channels; k++) wrong += (bool)isnan(y[k]) != (k == 4);
        emulate::launch(tiles.grid, tiles.block, [&] {
            batch_norm_reduce_f32(x.data(), residual ? y.data() : nullptr, dy.data(), stats.data(), affine.data(), partial.data(), rows,
                                  channels, rows, 1);
        });
        emulate::launch({1}, {8, 64}, [&] { combine_sums(partial.data(), sums.data(), 1, 2 * channels); });
        wrong += !isnan(sums[0]) + (sums[1] != 5) + (sums[2] != 5) + (sums[3] != 5) + (dy[4] != 1);
        emulate::launch(tiles.grid, tiles.block, [&] {
            batch_norm_input_gradient_f32(x.data(), dy.data(), stats.data(), affine.data(), sums.data(), dx.data(), rows, channels, !residual);
        });
        for (int k = 0; k < rows * channels; k++) wrong += (bool)isnan(dx[k]) != (k % 2 == 0);
        emulate::launch(tiles.grid, tiles.block, [&] { batch_norm_moments_f32(x.data(), partial.data(), rows, channels, rows); });
        emulate::launch({1}, {8, 64}, [&] {
            batch_norm_statistics(partial.data(), inverse.data(), running.data(), rows, channels, rows, 1, 1e-5f, 0.1f);
        });
        for (int k = 0; k < 2 * channels; k++) wrong += ((bool)isnan(inverse[k]) != (k % 2 == 0)) + ((bool)isnan(running[k]) != (k % 2 == 0));
        if (wrong) {
            printf("batch_norm: %d numbers hide or spread a NaN\n", wrong);
            failures++;
        }
    }
}
