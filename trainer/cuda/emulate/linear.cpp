// Bias, ReLU and bias gradient against their formulas.
#include "check.h"
#include "../../src/ops/linear/kernel.cu"

template <typename T, typename Add, typename Reduce>
static void one(const std::string &type, Add add, Reduce reduce, int pack, int64_t rows, int columns, int64_t chunk_rows, bool relu) {
    const int chunks = ceil_div(rows, chunk_rows);
    Buffer<T> y(rows * columns), dy(rows * columns);
    Buffer<float> bias(columns), partial((size_t)chunks * columns), sums(columns);
    y.fill_normal();
    dy.fill_normal();
    bias.fill_normal();
    std::vector<double> output(y.count), g(y.count), db(columns);
    for (size_t i = 0; i < y.count; i++) {
        output[i] = number(y[i]) + bias[i % columns];
        if (relu && output[i] < 0) output[i] = 0;
    }
    const Tiles tiles(columns, pack, chunks), two_runs(columns, pack, 2);
    emulate::launch(two_runs.grid, two_runs.block, [&] { add(y.data(), bias.data(), rows, columns, relu); });
    compare("linear bias " + type, y, output, 1e-6);
    for (size_t i = 0; i < y.count; i++) {
        g[i] = relu && number(y[i]) <= 0 ? 0 : number(dy[i]);
        db[i % columns] += g[i];
    }
    emulate::launch(tiles.grid, tiles.block, [&] { reduce(y.data(), dy.data(), partial.data(), rows, columns, chunk_rows, relu); });
    emulate::launch({ceil_div(columns, 8)}, {8, 64}, [&] { combine_sums(partial.data(), sums.data(), chunks, columns); });
    compare("linear masked gradient " + type, dy, g, 0);
    compare("linear bias gradient " + type, sums, db, 2e-6);
}

CHECK(linear) {
    for (int64_t rows : {1, 31, 200})
        for (int columns : {1, 7, 16, 136})
            for (int relu : {0, 1}) {
                one<float>("f32", linear_add_bias_f32, linear_reduce_f32, 1, rows, columns, 13, relu);
                one<bf16>("bf16", linear_add_bias_bf16, linear_reduce_bf16, 1, rows, columns, 13, relu);
                if (columns % 8) continue;
                one<float>("f32 vector", linear_add_bias_f32_vector, linear_reduce_f32_vector, 4, rows, columns, 64, relu);
                one<bf16>("bf16 vector", linear_add_bias_bf16_vector, linear_reduce_bf16_vector, 8, rows, columns, 64, relu);
            }
}

// A NaN stays visible in y, and ReLU's mask lets its gradient through.
CHECK(linear_nan) {
    const int rows = 3, columns = 2;
    Buffer<float> y(rows * columns), dy(y.count), partial(columns);
    y.fill(-1);
    y[2] = NAN;
    dy.fill(1);
    const Tiles tiles(columns, 1, 1);
    emulate::launch(tiles.grid, tiles.block, [&] { linear_add_bias_f32(y.data(), nullptr, rows, columns, 1); });
    emulate::launch(tiles.grid, tiles.block, [&] { linear_reduce_f32(y.data(), dy.data(), partial.data(), rows, columns, rows, 1); });
    int wrong = (partial[0] != 1) + (partial[1] != 0);
    for (int k = 0; k < rows * columns; k++) wrong += (bool)isnan(y[k]) != (k == 2), wrong += dy[k] != (k == 2 ? 1 : 0);
    if (wrong) {
        printf("linear: %d numbers hide a NaN\n", wrong);
        failures++;
    }
}
