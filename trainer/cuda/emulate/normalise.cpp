// Rows of unit length against the formula; the gradient against the Jacobian (1 - u·u^T)/|z|, with a zero row among
// them.
#include "check.h"
#include "../../src/ops/normalise/kernel.cu"

template <typename T, typename Forward, typename Backward>
static void one(const std::string &type, Forward forward, Backward backward, int64_t rows, int columns, unsigned threads) {
    Buffer<T> z(rows * columns), dz(rows * columns);
    Buffer<float> unit(z.count), inverses(rows), gradient(z.count);
    z.fill_normal(0, 3);
    gradient.fill_normal();
    if (rows > 1)
        for (int k = 0; k < columns; k++) z[columns + k] = rounded<T>(0); // the zero vector
    std::vector<double> units(z.count), r(rows), back(z.count);
    for (int64_t row = 0; row < rows; row++) {
        double squares = 0, product = 0;
        for (int k = 0; k < columns; k++) squares += pow(number(z[row * columns + k]), 2);
        r[row] = squares > 0 ? 1 / sqrt(squares) : 0;
        for (int k = 0; k < columns; k++) {
            units[row * columns + k] = number(z[row * columns + k]) * r[row];
            product += units[row * columns + k] * gradient[row * columns + k];
        }
        for (int k = 0; k < columns; k++)
            back[row * columns + k] = (gradient[row * columns + k] - units[row * columns + k] * product) * r[row];
    }
    emulate::launch({3}, {threads}, [&] { forward(z.data(), unit.data(), inverses.data(), rows, columns); });
    emulate::launch({3}, {threads}, [&] { backward(unit.data(), inverses.data(), gradient.data(), dz.data(), rows, columns); });
    compare("normalise inverse length " + type, inverses, r, 1e-6);
    compare("normalise forward " + type, unit, units, 1e-6);
    compare("normalise backward " + type, dz, back, 1e-6);
}

CHECK(normalise) {
    for (int64_t rows : {1, 2, 9})
        for (int columns : {2, 5, 128, 300})
            for (unsigned threads : {32, 128}) {
                one<float>("f32", normalise_forward_f32, normalise_backward_f32, rows, columns, threads);
                one<bf16>("bf16", normalise_forward_bf16, normalise_backward_bf16, rows, columns, threads);
            }
}

// A sum of squares beyond f32, an infinity, a NaN: the row and its gradient are NaN; the row before them is not
// touched.
CHECK(normalise_overflow) {
    const int rows = 4, columns = 17;
    Buffer<float> z(rows * columns), unit(z.count), inverses(rows), gradient(z.count), dz(z.count);
    gradient.fill_normal();
    z.fill(1);
    for (int k = 0; k < columns; k++) z[k] = 2.4e18f, z[columns + k] = 1e19f;
    z[2 * columns + 3] = INFINITY;
    z[3 * columns + 16] = NAN;
    emulate::launch({3}, {32}, [&] { normalise_forward_f32(z.data(), unit.data(), inverses.data(), rows, columns); });
    emulate::launch({3}, {32}, [&] { normalise_backward_f32(unit.data(), inverses.data(), gradient.data(), dz.data(), rows, columns); });
    int visible = 0;
    for (int k = 0; k < rows * columns; k++) visible += isnan(unit[k]) && isnan(dz[k]);
    for (int k = 0; k < columns; k++) visible -= isnan(unit[k]) || isnan(dz[k]);
    if (visible != 3 * columns) {
        printf("normalise: %d of %d elements of rows that overflow are NaN\n", visible, 3 * columns);
        failures++;
    }
}
