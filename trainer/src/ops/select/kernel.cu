// Which candidates of each anchor are negatives that count, [rows, columns], decided where the cosines are: mod.rs has
// the rules. Everything is one operation, "the elements of ranks [from, to) among the members of a row", with 32-bit
// keys and ties in the order of the index: an element's place is the 64-bit number (key, index), and the number that
// `rank` members lie below is found by 4 bits at a time, the leading ones first.
//
// One block of THREADS threads a row. Every thread counts the digits of its own elements in a column of its own, then
// the columns are added: no atomics, and whole numbers have the same sum in every order.
#include "../kernel.cuh"
#include "../philox.cuh"

const int THREADS = 512, DIGITS = 16, LANES_OF_A_SUM = 32, MOST_PARTS = 8;
const uint64_t NO_BOUND = ~(uint64_t)0;
const uint32_t WHOLE = 100000000u, UNKNOWN_CLASS = 0xffffffffu;

// As in cuda.rs.
struct Rules {
    uint32_t key[2], purpose; // of the random numbers
    int rows, columns, samples;
    int from_queue;    // the candidates are keys, none of them the anchor's own
    int num_sampled;   // K negatives at random; 0: all
    int other_classes; // leave out the anchor's class
    int by_words;      // ranks are those of random numbers, not of cosines
    int num_parts;     // 0: no selection
    uint32_t parts[MOST_PARTS][2]; // shares, in units of 1e-8
};

struct Cells {
    uint32_t counts[DIGITS][THREADS];
    uint32_t partial[DIGITS][LANES_OF_A_SUM + 1];
    uint32_t totals[DIGITS];
};

struct Row {
    const uint32_t *cosines; // their bits
    const uint32_t *classes; // of the candidates, where they are looked at
    Counter counter;
    uint32_t anchor, own_class;
    int own; // the anchor's sample
    uint64_t sampled; // the drawn candidates lie below it
};

// Four neighbours of a row, those of one draw of random numbers.
struct Four {
    bool member[4];
    uint64_t place[4];
};

// As `ordered` of cpu.rs: the order of the numbers, -0 = +0.
__device__ __forceinline__ uint32_t ordered(uint32_t bits) {
    if (bits == 0x80000000u) bits = 0;
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ bool is_nan(uint32_t bits) { return (bits & 0x7fffffffu) > 0x7f800000u; }

__device__ __forceinline__ uint64_t place_of(uint32_t key, int index) { return (uint64_t)key << 32 | (uint32_t)index; }

__device__ __forceinline__ uint32_t class_of(const Row &row, const Rules &rules, int index) {
    return row.classes[rules.from_queue || index < rules.samples ? index : index - rules.samples];
}

// The elements from `first` on: of the draw of K, or, after it, those among which a selection selects.
__device__ __forceinline__ Four four(const Row &row, const Rules &rules, int first, bool of_draw) {
    Four found;
    for (int e = 0; e < 4; e++) {
        const int j = first + e;
        found.member[e] = j < rules.columns && (rules.from_queue || (j != row.own && j != row.own + rules.samples));
    }
    if (rules.num_sampled) {
        const Words words = draw(row.counter, row.anchor, 0, first / 4);
        for (int e = 0; e < 4; e++) found.place[e] = place_of(words.word[e], first + e);
        if (of_draw) return found;
        for (int e = 0; e < 4; e++) found.member[e] = found.member[e] && found.place[e] < row.sampled;
    }
    if (rules.other_classes)
        for (int e = 0; e < 4; e++) found.member[e] = found.member[e] && class_of(row, rules, first + e) != row.own_class;
    if (rules.by_words) {
        const Words words = draw(row.counter, row.anchor, 1, first / 4);
        for (int e = 0; e < 4; e++) found.place[e] = place_of(words.word[e], first + e);
    } else {
        for (int e = 0; e < 4; e++)
            found.place[e] = first + e < rules.columns ? place_of(ordered(row.cosines[first + e]), first + e) : 0;
    }
    return found;
}

// cells.totals[d] = how many elements have the digit d, `digit_of(is a member, place, index)`; one of 16 or more does
// not count.
template <typename Digit>
__device__ __forceinline__ void histogram(Cells &cells, const Row &row, const Rules &rules, bool of_draw, const Digit &digit_of) {
    const int thread = threadIdx.x;
    for (int d = 0; d < DIGITS; d++) cells.counts[d][thread] = 0;
    for (int first = 4 * thread; first < rules.columns; first += 4 * THREADS) {
        const Four found = four(row, rules, first, of_draw);
        for (int e = 0; e < 4; e++) {
            if (first + e >= rules.columns) continue; // not in the condition: the loop shall unroll
            const uint64_t digit = digit_of(found.member[e], found.place[e], first + e);
            if (digit < DIGITS) cells.counts[digit][thread]++;
        }
    }
    __syncthreads();
    const int digit = thread / LANES_OF_A_SUM, lane = thread % LANES_OF_A_SUM;
    uint32_t sum = 0;
    for (int other = lane; other < THREADS; other += LANES_OF_A_SUM) sum += cells.counts[digit][other];
    cells.partial[digit][lane] = sum;
    __syncthreads();
    if (thread < DIGITS) {
        sum = 0;
        for (int other = 0; other < LANES_OF_A_SUM; other++) sum += cells.partial[thread][other];
        cells.totals[thread] = sum;
    }
    __syncthreads();
}

// The place that `rank` members lie below; there are more members than that.
__device__ __forceinline__ uint64_t bound_of_rank(Cells &cells, const Row &row, const Rules &rules, bool of_draw, uint32_t rank) {
    uint64_t bound = 0;
    for (int shift = 60; shift >= 0 && rank > 0; shift -= 4) {
        histogram(cells, row, rules, of_draw,
                  [&](bool member, uint64_t place, int) { return member ? (place ^ bound) >> shift : (uint64_t)DIGITS; });
        uint64_t digit = 0;
        while (cells.totals[digit] <= rank) rank -= cells.totals[digit++];
        bound |= digit << shift;
    }
    return bound;
}

// The first rank that is not below a share of `count`.
__device__ __forceinline__ uint32_t rank_of(uint32_t share, uint32_t count) {
    return (uint32_t)(((uint64_t)share * count + (WHOLE - 1)) / WHOLE);
}

// is_negative [rows, columns]: 1 or 0; added: its logarithm; null where they are not wanted. counts [rows, 2], or null:
// how many of a row's kept candidates have the anchor's class, and how many a known one. Classes may be null where
// neither that nor `other_classes` asks for them, step [1] where nothing is random. Grid: at most `rows` blocks.
extern "C" __global__ void select_rows(const uint32_t *cosines, const uint32_t *step, const uint32_t *anchor_classes,
                                       const uint32_t *candidate_classes, Rules rules, float *is_negative, float *added, int64_t *counts) {
    __shared__ Cells cells;
    __shared__ uint64_t bounds[MOST_PARTS][2];
    for (int index = blockIdx.x; index < rules.rows; index += gridDim.x) {
        const int64_t start = (int64_t)index * rules.columns;
        Row row = {cosines + start, candidate_classes, {{rules.key[0], rules.key[1]}, rules.purpose, step ? step[0] : 0}, (uint32_t)index, 0, index, NO_BOUND};
        if (row.own >= rules.samples) row.own -= rules.samples;
        if (anchor_classes) row.own_class = anchor_classes[row.own];
        // All n - 1 others need no bound.
        if (rules.num_sampled && rules.num_sampled < rules.columns - 1)
            row.sampled = bound_of_rank(cells, row, rules, true, (uint32_t)rules.num_sampled);
        bool all = true;
        int num_ranges = 0;
        if (rules.num_parts) {
            histogram(cells, row, rules, false, [&](bool member, uint64_t, int j) { return member ? (uint64_t)is_nan(row.cosines[j]) : (uint64_t)DIGITS; });
            const uint32_t count = cells.totals[0] + cells.totals[1], nans = cells.totals[1];
            uint32_t kept = 0;
            for (int p = 0; p < rules.num_parts; p++) kept += rank_of(rules.parts[p][1], count) - rank_of(rules.parts[p][0], count);
            all = nans > 0 || kept == count;
            for (int p = 0; p < rules.num_parts && !all; p++) {
                const uint32_t from = rank_of(rules.parts[p][0], count), to = rank_of(rules.parts[p][1], count);
                if (from == to) continue;
                const uint64_t low = bound_of_rank(cells, row, rules, false, from);
                const uint64_t high = to < count ? bound_of_rank(cells, row, rules, false, to) : NO_BOUND;
                if (threadIdx.x == 0) {
                    bounds[num_ranges][0] = low;
                    bounds[num_ranges][1] = high;
                }
                num_ranges++;
            }
            __syncthreads();
        }
        histogram(cells, row, rules, false, [&](bool member, uint64_t place, int j) {
            bool keeps = member && all;
            for (int p = 0; p < num_ranges; p++) keeps = keeps || (member && bounds[p][0] <= place && place < bounds[p][1]);
            if (is_negative) {
                is_negative[start + j] = keeps ? 1.f : 0.f;
                added[start + j] = keeps ? 0.f : -INFINITY;
            }
            if (!keeps || !counts) return (uint64_t)DIGITS;
            const uint32_t other = class_of(row, rules, j);
            return other == UNKNOWN_CLASS ? (uint64_t)DIGITS : (uint64_t)(other == row.own_class);
        });
        if (counts && threadIdx.x < 2)
            counts[2 * (int64_t)index + threadIdx.x] = (int64_t)cells.totals[1] + (threadIdx.x == 1 ? cells.totals[0] : 0);
    }
}

// total [2] = sums of the columns of counts [rows, 2]. One block of THREADS threads.
extern "C" __global__ void select_total(const int64_t *counts, int64_t *total, int rows) {
    __shared__ int64_t cells[2][THREADS];
    const int thread = threadIdx.x;
    int64_t sums[2] = {0, 0};
    for (int row = thread; row < rows; row += THREADS)
        for (int k = 0; k < 2; k++) sums[k] += counts[2 * (int64_t)row + k];
    for (int k = 0; k < 2; k++) cells[k][thread] = sums[k];
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (thread < half)
            for (int k = 0; k < 2; k++) cells[k][thread] += cells[k][thread + half];
        __syncthreads();
    }
    if (thread < 2) total[thread] = cells[thread][0];
}
