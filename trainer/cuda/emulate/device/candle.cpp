// candle's own kernels of element-wise operations, reductions and selections, as far as losses and models call them: written anew
// from the arguments that the sources of candle-kernels declare. A tensor whose `info` is null is contiguous, else info holds its
// dimensions and then its strides; sums are in double, as those of the other stand-ins.
#include "kernels.h"
#include <algorithm>

namespace {

using std::size_t;

// Where element i of a tensor of these dimensions lies.
size_t place(size_t i, size_t rank, const size_t *dims, const size_t *strides) {
    size_t at = 0;
    for (size_t d = rank; d-- > 0; i /= dims[d]) at += i % dims[d] * strides[d];
    return at;
}
size_t place(size_t i, size_t rank, const size_t *info) { return info ? place(i, rank, info, info + rank) : i; }

// Calls f(i) for the elements of this thread.
template <typename F> void each(size_t count, F f) {
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (size_t)gridDim.x * blockDim.x) f(i);
}

template <typename T, T (*F)(T)> void unary(size_t count, size_t rank, const size_t *info, const T *x, T *y) {
    each(count, [=](size_t i) { y[i] = F(x[place(i, rank, info)]); });
}
template <typename T, T (*F)(T, T)> void unary_with(size_t count, size_t rank, const size_t *info, T parameter, const T *x, T *y) {
    each(count, [=](size_t i) { y[i] = F(x[place(i, rank, info)], parameter); });
}
template <typename T, typename U, U (*F)(T, T)>
void binary(size_t count, size_t rank, const size_t *info, const T *a, const T *b, U *y) {
    each(count, [=](size_t i) {
        const size_t left = info ? place(i, rank, info, info + rank) : i, right = info ? place(i, rank, info, info + 2 * rank) : i;
        y[i] = F(a[left], b[right]);
    });
}
template <typename S, typename T> void cast(size_t count, size_t rank, const size_t *info, const S *x, T *y) {
    each(count, [=](size_t i) { y[i] = (T)x[place(i, rank, info)]; });
}
template <typename T> void affine(size_t count, size_t rank, const size_t *info, const T *x, T *y, T times, T plus) {
    each(count, [=](size_t i) { y[i] = x[place(i, rank, info)] * times + plus; });
}
template <typename T, typename C>
void where(size_t count, size_t rank, const size_t *info, const C *condition, const T *yes, const T *no, T *y) {
    each(count, [=](size_t i) {
        const bool holds = condition[place(i, rank, info, info + rank)] != 0;
        y[i] = holds ? yes[place(i, rank, info, info + 2 * rank)] : no[place(i, rank, info, info + 3 * rank)];
    });
}
template <typename T> void fill(T *y, T value, size_t count) {
    each(count, [=](size_t i) { y[i] = value; });
}
template <typename T> void const_set(size_t count, size_t rank, const size_t *info, T value, T *y) {
    each(count, [=](size_t i) { y[place(i, rank, info)] = value; });
}
// Rows of d2 elements from one pitch to another.
template <typename T> void copy2d(const T *x, T *y, uint32_t d1, uint32_t d2, uint32_t from_pitch, uint32_t to_pitch) {
    each((size_t)d1 * d2, [=](size_t i) { y[i / d2 * to_pitch + i % d2] = x[i / d2 * from_pitch + i % d2]; });
}

// One result of a reduction: elements first, first + 1, … of the tensor.
template <typename T> T sum(size_t first, size_t length, size_t rank, const size_t *info, const T *x) {
    double total = 0;
    for (size_t i = first; i < first + length; i++) total += (double)x[place(i, rank, info)];
    return (T)total;
}
template <typename T, bool LARGEST> size_t extreme(size_t first, size_t length, size_t rank, const size_t *info, const T *x) {
    size_t best = first;
    for (size_t i = first + 1; i < first + length; i++) {
        const T value = x[place(i, rank, info)], held = x[place(best, rank, info)];
        if (LARGEST ? value > held : value < held) best = i;
    }
    return best;
}
// A block makes one result.
template <typename T> void fast_sum(size_t, size_t length, size_t rank, const size_t *info, const T *x, T *y) {
    if (threadIdx.x == 0) y[blockIdx.x] = sum(blockIdx.x * length, length, rank, info, x);
}
template <typename T, bool LARGEST> void fast_extreme(size_t, size_t length, size_t rank, const size_t *info, const T *x, T *y) {
    if (threadIdx.x == 0) y[blockIdx.x] = x[place(extreme<T, LARGEST>(blockIdx.x * length, length, rank, info, x), rank, info)];
}
template <typename T, bool LARGEST> void fast_place(size_t, size_t length, size_t rank, const size_t *info, const T *x, uint32_t *y) {
    if (threadIdx.x == 0) y[blockIdx.x] = (uint32_t)(extreme<T, LARGEST>(blockIdx.x * length, length, rank, info, x) - blockIdx.x * length);
}
// A thread makes one result.
template <typename T> void fast_sum_small(size_t results, size_t length, size_t rank, const size_t *info, const T *x, T *y) {
    each(results, [=](size_t i) { y[i] = sum(i * length, length, rank, info, x); });
}

// Tensors [left, size, right]; ids [size of ids], or in gather and scatter_add of the shape of the result or the source.
template <typename T, typename I>
void index_select(size_t count, size_t rank, const size_t *info, const I *ids, const T *x, T *y, size_t, size_t size, size_t num_ids, size_t right) {
    each(count, [=](size_t i) {
        const size_t id = ids[place(i / right % num_ids, rank, info)];
        y[i] = x[(i / right / num_ids * size + id) * right + i % right];
    });
}
template <typename T, typename I>
void gather(size_t count, const I *ids, const T *x, T *y, size_t, size_t size, size_t num_ids, size_t right) {
    each(count, [=](size_t i) { y[i] = x[(i / right / num_ids * size + ids[i]) * right + i % right]; });
}
template <typename T, typename I>
void index_add(const I *ids, size_t num_ids, const T *x, T *y, size_t left, size_t, size_t into, size_t right) {
    each(left * right, [=](size_t i) {
        for (size_t j = 0; j < num_ids; j++) y[(i / right * into + ids[j]) * right + i % right] += x[(i / right * num_ids + j) * right + i % right];
    });
}
template <typename T, typename I>
void scatter_add(const I *ids, const T *x, T *y, size_t left, size_t size, size_t into, size_t right) {
    each(left * right, [=](size_t i) {
        for (size_t j = 0; j < size; j++) {
            const size_t from = (i / right * size + j) * right + i % right;
            y[(i / right * into + ids[from]) * right + i % right] += x[from];
        }
    });
}

#define FUNCTION(NAME, EXPRESSION) float NAME(float x) { return EXPRESSION; }
FUNCTION(neg, -x) FUNCTION(recip, 1 / x) FUNCTION(exponential, expf(x)) FUNCTION(logarithm, logf(x)) FUNCTION(absolute, fabsf(x))
FUNCTION(square, x * x) FUNCTION(root, sqrtf(x)) FUNCTION(relu, fmaxf(x, 0)) FUNCTION(tangent, tanhf(x))
FUNCTION(sign, (float)(x > 0) - (float)(x < 0)) FUNCTION(sigmoid, 1 / (1 + expf(-x)))
float power(float x, float exponent) { return powf(x, exponent); }

template <typename T> T same(T x) { return x; }
template <typename T> T add(T a, T b) { return a + b; }
template <typename T> T sub(T a, T b) { return a - b; }
template <typename T> T mul(T a, T b) { return a * b; }
template <typename T> T div(T a, T b) { return a / b; }
template <typename T> T maximum(T a, T b) { return std::max(a, b); }
template <typename T> T minimum(T a, T b) { return std::min(a, b); }
template <typename T> uint8_t eq(T a, T b) { return a == b; }
template <typename T> uint8_t ne(T a, T b) { return a != b; }
template <typename T> uint8_t lt(T a, T b) { return a < b; }
template <typename T> uint8_t le(T a, T b) { return a <= b; }
template <typename T> uint8_t gt(T a, T b) { return a > b; }
template <typename T> uint8_t ge(T a, T b) { return a >= b; }

template <typename T> void of_numbers(std::map<std::string, Binder> &table, const std::string &type) {
    const auto put = [&](const char *name, Binder kernel) { table[name + ("_" + type)] = kernel; };
    put("badd", binder(binary<T, T, add<T>>)), put("bsub", binder(binary<T, T, sub<T>>));
    put("bmul", binder(binary<T, T, mul<T>>)), put("bdiv", binder(binary<T, T, div<T>>));
    put("bmaximum", binder(binary<T, T, maximum<T>>)), put("bminimum", binder(binary<T, T, minimum<T>>));
    put("eq", binder(binary<T, uint8_t, eq<T>>)), put("ne", binder(binary<T, uint8_t, ne<T>>));
    put("lt", binder(binary<T, uint8_t, lt<T>>)), put("le", binder(binary<T, uint8_t, le<T>>));
    put("gt", binder(binary<T, uint8_t, gt<T>>)), put("ge", binder(binary<T, uint8_t, ge<T>>));
    put("ucopy", binder(unary<T, same<T>>)), put("copy2d", binder(copy2d<T>));
    put("fill", binder(fill<T>)), put("const_set", binder(const_set<T>)), put("affine", binder(affine<T>));
    put("fast_sum", binder(fast_sum<T>)), put("fast_sum_small", binder(fast_sum_small<T>));
    put("fast_max", binder(fast_extreme<T, true>)), put("fast_min", binder(fast_extreme<T, false>));
    put("fast_argmax", binder(fast_place<T, true>)), put("fast_argmin", binder(fast_place<T, false>));
    put("where_u8", binder(where<T, uint8_t>)), put("where_u32", binder(where<T, uint32_t>));
    put("is_u32", binder(index_select<T, uint32_t>)), put("gather_u32", binder(gather<T, uint32_t>));
    put("ia_u32", binder(index_add<T, uint32_t>)), put("sa_u32", binder(scatter_add<T, uint32_t>));
    const std::string cast_from = "cast_" + type + "_";
    table[cast_from + "u8"] = binder(cast<T, uint8_t>), table[cast_from + "u32"] = binder(cast<T, uint32_t>);
    table[cast_from + "i64"] = binder(cast<T, int64_t>), table[cast_from + "f32"] = binder(cast<T, float>);
}

} // namespace

void add_candle_kernels(std::map<std::string, Binder> &table) {
    of_numbers<float>(table, "f32");
    of_numbers<uint8_t>(table, "u8");
    of_numbers<uint32_t>(table, "u32");
    of_numbers<int64_t>(table, "i64");
    const auto put = [&](const char *name, Binder kernel) { table[name] = kernel; };
    put("copy2d_bf16", binder(copy2d<__nv_bfloat16>));
    put("uneg_f32", binder(unary<float, neg>)), put("urecip_f32", binder(unary<float, recip>));
    put("uexp_f32", binder(unary<float, exponential>)), put("ulog_f32", binder(unary<float, logarithm>));
    put("uabs_f32", binder(unary<float, absolute>)), put("usqr_f32", binder(unary<float, square>));
    put("usqrt_f32", binder(unary<float, root>)), put("urelu_f32", binder(unary<float, relu>));
    put("utanh_f32", binder(unary<float, tangent>)), put("usign_f32", binder(unary<float, sign>));
    put("usigmoid_f32", binder(unary<float, sigmoid>)), put("upowf_f32", binder(unary_with<float, power>));
}
