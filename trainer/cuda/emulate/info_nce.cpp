// NT-Xent: losses against the definition, the gradient of the products against its formula and against finite
// differences.
#include "check.h"
#include "../../src/ops/info_nce/kernel.cu"

static double loss_of_row(const std::vector<double> &s, int rows, int i, double t) {
    double sum = 0;
    const int positive = (i + rows / 2) % rows;
    for (int j = 0; j < rows; j++)
        if (j != i) sum += exp((s[i * rows + j] - s[i * rows + positive]) / t);
    return log(sum);
}

CHECK(info_nce) {
    for (int half : {1, 2, 9, 70})
        for (double t : {0.05, 0.5, 2.0}) {
            const int rows = 2 * half;
            Buffer<float> products((size_t)rows * rows), losses(rows);
            for (size_t i = 0; i < products.count; i++) products[i] = (float)(2 * uniform() - 1);
            for (int i = 0; i < rows; i++) products[i * rows + i] = 1;
            std::vector<double> s = products.values(), loss(rows), gradient(s.size());
            for (int i = 0; i < rows; i++) {
                loss[i] = loss_of_row(s, rows, i, t);
                for (int j = 0; j < rows; j++) {
                    if (j == i) continue;
                    // Central difference of the mean loss.
                    std::vector<double> moved = s;
                    const double h = 1e-5 * t;
                    if (half <= 9) {
                        moved[i * rows + j] = s[i * rows + j] + h;
                        const double up = loss_of_row(moved, rows, i, t);
                        moved[i * rows + j] = s[i * rows + j] - h;
                        gradient[i * rows + j] = (up - loss_of_row(moved, rows, i, t)) / (2 * h * rows);
                    } else {
                        double sum = 0;
                        for (int k = 0; k < rows; k++)
                            if (k != i) sum += exp((s[i * rows + k] - s[i * rows + j]) / t);
                        gradient[i * rows + j] = (1 / sum - (j == (i + half) % rows)) / (rows * t);
                    }
                }
            }
            emulate::launch({5}, {64}, [&] { info_nce_rows(products.data(), losses.data(), half, (float)t); });
            compare("info_nce losses", losses, loss, 2e-6);
            Buffer<float> mean(1);
            double sum = 0;
            for (int i = 0; i < rows; i++) sum += losses[i];
            emulate::launch({1}, {64}, [&] { info_nce_mean(losses.data(), mean.data(), rows); });
            compare("info_nce mean", mean, {sum / rows}, 1e-6);
            compare("info_nce gradient", products, gradient, 1e-6);
        }
}

// Products of 1 and a tiny temperature: e^{1/t} is beyond f32.
CHECK(info_nce_cold) {
    const int rows = 6;
    Buffer<float> products(rows * rows), losses(rows);
    products.fill(1);
    std::vector<double> loss(rows, log(5.0));
    emulate::launch({6}, {32}, [&] { info_nce_rows(products.data(), losses.data(), 3, 1e-3f); });
    compare("info_nce losses", losses, loss, 2e-6);
}

// Products of unit vectors whose positives are alike: 254 negatives at cosine 0 and t = 0.05 make a loss of 5.2e-7.
// Positives at 0.99: the same in the gradient. A NaN stays visible, also where the positive is the only candidate.
CHECK(info_nce_small) {
    const int half = 128, rows = 2 * half;
    for (double positive : {1.0, 0.99, -1.0}) {
        Buffer<float> products(rows * rows), losses(rows);
        products.fill(0);
        for (int i = 0; i < rows; i++) products[i * rows + i] = 1, products[i * rows + (i + half) % rows] = (float)positive;
        const double t = (float)0.05, rest = 254 * exp(-(double)(float)positive / t), loss = log1p(rest);
        std::vector<double> gradient(products.count);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < rows; j++)
                gradient[i * rows + j] = i == j ? 0 : (j == (i + half) % rows ? -rest : rest / 254) / ((1 + rest) * rows * t);
        emulate::launch({5}, {64}, [&] { info_nce_rows(products.data(), losses.data(), half, 0.05f); });
        compare("info_nce small losses", losses, std::vector<double>(rows, loss), 5e-6);
        compare("info_nce gradient of small losses", products, gradient, 5e-6);
    }
    for (int half : {1, 2}) {
        Buffer<float> products(4 * half * half), losses(2 * half);
        products.fill(NAN);
        emulate::launch({5}, {4}, [&] { info_nce_rows(products.data(), losses.data(), half, 0.5f); });
        for (int i = 0; i < 2 * half; i++)
            if (!isnan(losses[i]) || !isnan(products[i * 2 * half + (i + half) % (2 * half)])) {
                printf("info_nce: a NaN is hidden in row %d of %d\n", i, 2 * half);
                failures++;
            }
    }
}
