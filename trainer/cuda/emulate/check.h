// Helpers of the checks: seeded numbers, guarded buffers, comparison with a reference in double precision.
#pragma once
#include "emulate.h"
#include <map>
#include <string>

// One check is a function of no arguments; `CHECK(name) { … }` registers it.
struct Registry {
    static std::vector<std::pair<const char *, void (*)()>> &all() {
        static std::vector<std::pair<const char *, void (*)()>> list;
        return list;
    }
    Registry(const char *name, void (*run)()) { all().push_back({name, run}); }
};
#define CHECK(NAME)                                                                                                                        \
    static void check_##NAME();                                                                                                            \
    static Registry registered_##NAME(#NAME, check_##NAME);                                                                                \
    static void check_##NAME()

inline uint64_t random_state;
inline double uniform() { // xorshift64*, in [0, 1)
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (double)((random_state * 0x2545F4914F6CDD1DULL) >> 11) / 9007199254740992.0;
}
inline double normal() { return sqrt(-2 * log(1 - uniform())) * cos(6.283185307179586 * uniform()); }

inline double number(float x) { return x; }
inline double number(__nv_bfloat16 x) { return __bfloat162float(x); }
template <typename T> T rounded(double x);
template <> inline float rounded<float>(double x) { return (float)x; }
template <> inline __nv_bfloat16 rounded<__nv_bfloat16>(double x) { return __float2bfloat16((float)x); }

// An array between two fences of NaN: what is read beyond it spoils the result, what is written beyond it is found.
template <typename T> struct Buffer {
    static const size_t FENCE = 64;
    std::vector<char> bytes;
    size_t count;
    T *base;
    explicit Buffer(size_t n) : bytes((n + 2 * FENCE) * sizeof(T) + 64, (char)0xff), count(n) {
        base = (T *)(((uintptr_t)bytes.data() + 63) & ~(uintptr_t)63); // kernels may load 16 bytes at a time
    }
    Buffer(const Buffer &) = delete;
    T *data() { return base + FENCE; }
    T &operator[](size_t i) { return data()[i]; }
    void fill_normal(double mean = 0, double deviation = 1) {
        for (size_t i = 0; i < count; i++) data()[i] = rounded<T>(mean + deviation * normal());
    }
    void fill(double value) {
        for (size_t i = 0; i < count; i++) data()[i] = rounded<T>(value);
    }
    std::vector<double> values() {
        std::vector<double> out(count);
        for (size_t i = 0; i < count; i++) out[i] = number(data()[i]);
        return out;
    }
    bool fences_hold() const {
        const unsigned char *p = (const unsigned char *)base, *q = (const unsigned char *)(base + FENCE + count);
        for (size_t i = 0; i < FENCE * sizeof(T); i++)
            if (p[i] != 0xff || q[i] != 0xff) return false;
        return true;
    }
};

struct Worst {
    double error = 0, tolerance = 0;
    int cases = 0, failed = 0;
};
inline std::map<std::string, Worst> worst; // by kernel
inline int failures;
inline uint64_t digest; // of every result bit, to compare orders of threads

inline double rounding(float) { return 0; }
// Half a unit in the last place of a number with 8 significant bits.
inline double rounding(__nv_bfloat16) { return 1.0 / 256; }

// Error: the largest |found - reference| over the array, less what rounding |reference| to bf16 may add where the
// result is bf16, in units of the largest |reference| of the array or of `scale`, if that is larger (the size of terms
// that cancel).
template <typename T>
void compare(const std::string &kernel, Buffer<T> &found, const std::vector<double> &reference, double tolerance, double scale = 0) {
    double largest = scale, error = 0;
    for (double r : reference) largest = fmax(largest, fabs(r));
    for (size_t i = 0; i < reference.size(); i++) {
        const double difference = fabs(number(found[i]) - reference[i]) - rounding(T{}) * fabs(reference[i]);
        error = difference == difference ? fmax(error, difference) : INFINITY;
        if (error == INFINITY) break;
    }
    error /= largest > 0 ? largest : 1;
    for (size_t i = 0; i < found.count * sizeof(T); i++) digest = (digest ^ ((const unsigned char *)found.data())[i]) * 1099511628211ULL;
    Worst &w = worst[kernel];
    w.error = fmax(w.error, error);
    w.tolerance = fmax(w.tolerance, tolerance);
    w.cases++;
    const bool fences = found.fences_hold();
    if (error <= tolerance && fences) return;
    failures++;
    w.failed++;
    if (w.failed > 3) return;
    if (!fences) printf("%s, case %d: wrote outside its buffer\n", kernel.c_str(), w.cases);
    if (!(error <= tolerance)) printf("%s, case %d: error %.3g exceeds %.3g\n", kernel.c_str(), w.cases, error, tolerance);
}

inline unsigned ceil_div(int64_t a, int64_t b) { return (unsigned)((a + b - 1) / b); }

// The block and grid of kernels over [rows, columns] in packs, as launch.rs makes them.
struct Tiles {
    emulate::Index block, grid;
    Tiles(int64_t columns, int pack, unsigned runs, unsigned threads = 256) {
        unsigned lanes = 1;
        while (lanes < 32 && lanes * pack < (uint64_t)columns) lanes *= 2;
        block = {lanes, threads / lanes, 1};
        grid = {ceil_div(columns, (int64_t)lanes * pack), runs, 1};
    }
};
