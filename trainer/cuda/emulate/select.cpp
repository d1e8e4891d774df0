// Which candidates count, against a full sort of every row.
#include "check.h"
#include "../../src/ops/select/kernel.cu"
#include <algorithm>
#include <limits>

// Philox by its formulas in words of 64 bits, apart from the header's.
static uint32_t reference_word(const Rules &r, uint32_t step, uint32_t anchor, uint32_t view, uint32_t index) {
    uint64_t c[4] = {index / 4, r.purpose + view, anchor, step}, k[2] = {r.key[0], r.key[1]};
    const uint64_t mask = 0xffffffffu;
    for (int round = 0; round < 10; round++) {
        const uint64_t a = 0xD2511F53u * c[0], b = 0xCD9E8D57u * c[2];
        const uint64_t next[4] = {(b >> 32) ^ c[1] ^ k[0], b & mask, (a >> 32) ^ c[3] ^ k[1], a & mask};
        std::copy(next, next + 4, c);
        k[0] = (k[0] + 0x9E3779B9u) & mask;
        k[1] = (k[1] + 0xBB67AE85u) & mask;
    }
    return (uint32_t)c[index % 4];
}

static const uint32_t STEP = 77;

static void one(const std::string &name, const Rules &r, Buffer<float> &cosines, Buffer<uint32_t> &anchor_classes, Buffer<uint32_t> &candidate_classes) {
    std::vector<double> kept((size_t)r.rows * r.columns), logarithm(kept.size());
    int64_t same = 0, known = 0;
    for (int i = 0; i < r.rows; i++) {
        std::vector<int> members;
        const int own = i % r.samples;
        for (int j = 0; j < r.columns; j++)
            if (r.from_queue || j % r.samples != own) members.push_back(j);
        const auto by_word = [&](uint32_t view) {
            std::stable_sort(members.begin(), members.end(),
                             [&](int a, int b) { return reference_word(r, STEP, i, view, a) < reference_word(r, STEP, i, view, b); });
        };
        if (r.num_sampled) {
            by_word(0);
            members.resize(r.num_sampled);
            std::sort(members.begin(), members.end());
        }
        const auto class_of = [&](int j) { return candidate_classes[r.from_queue ? j : j % r.samples]; };
        if (r.other_classes)
            members.erase(std::remove_if(members.begin(), members.end(), [&](int j) { return class_of(j) == anchor_classes[own]; }), members.end());
        const float *row = cosines.data() + (size_t)i * r.columns;
        bool nan = false;
        for (int j : members) nan = nan || row[j] != row[j];
        if (r.by_words) by_word(1);
        else if (!nan) std::stable_sort(members.begin(), members.end(), [&](int a, int b) { return (double)row[a] < (double)row[b]; });
        for (size_t rank = 0; rank < members.size(); rank++) {
            bool keeps = nan || !r.num_parts;
            for (int p = 0; p < r.num_parts; p++) {
                // lo K <= rank < hi K, in whole numbers.
                const uint64_t scaled = rank * 100000000ull, count = members.size();
                keeps = keeps || (r.parts[p][0] * count <= scaled && scaled < r.parts[p][1] * count);
            }
            const int j = members[rank];
            if (!keeps) continue;
            kept[(size_t)i * r.columns + j] = 1;
            known += class_of(j) != UNKNOWN_CLASS;
            same += class_of(j) != UNKNOWN_CLASS && class_of(j) == anchor_classes[own];
        }
    }
    for (size_t k = 0; k < kept.size(); k++) logarithm[k] = log(kept[k]);
    Buffer<float> is_negative(kept.size()), added(kept.size());
    Buffer<int64_t> counts(2 * r.rows), total(2);
    const uint32_t *step = r.num_sampled || r.by_words ? &STEP : nullptr;
    emulate::launch({3}, {THREADS}, [&] {
        select_rows((const uint32_t *)cosines.data(), step, anchor_classes.data(), candidate_classes.data(), r, is_negative.data(), added.data(), counts.data());
    });
    emulate::launch({1}, {THREADS}, [&] { select_total(counts.data(), total.data(), r.rows); });
    compare("select " + name, is_negative, kept, 0);
    for (size_t k = 0; k < kept.size(); k++) failures += !(added[k] == logarithm[k]);
    if (total[0] != same || total[1] != known || !added.fences_hold() || !counts.fences_hold() || !total.fences_hold()) {
        printf("select %s: %lld of %lld kept are of the anchor's class, not %lld of %lld\n", name.c_str(), (long long)total[0], (long long)total[1],
               (long long)same, (long long)known);
        failures++;
    }
    if (r.num_parts) return;
    // The count alone, as over a queue.
    Buffer<int64_t> again(2 * r.rows);
    emulate::launch({2}, {THREADS}, [&] {
        select_rows((const uint32_t *)cosines.data(), step, anchor_classes.data(), candidate_classes.data(), r, nullptr, nullptr, again.data());
    });
    for (size_t k = 0; k < counts.count; k++) failures += again[k] != counts[k];
}

CHECK(select) {
    const uint32_t whole = WHOLE;
    const std::vector<std::vector<std::pair<uint32_t, uint32_t>>> selections = {
        {}, {{95000000, whole}}, {{0, 60000000}}, {{0, 30000000}, {60000000, whole}}, {{10000000, 20000000}, {20000000, 30000001}, {99900000, whole}}, {{0, whole}}};
    struct Shape {
        int samples, rows, columns, num_sampled, from_queue;
    };
    const std::vector<Shape> shapes = {{2, 4, 4, 0, 0},    {7, 14, 14, 0, 0},    {37, 74, 74, 0, 0},   {2, 2, 2, 1, 0},       {37, 37, 37, 5, 0},
                                       {37, 37, 37, 35, 0}, {37, 37, 37, 36, 0}, {5, 5, 9, 0, 1},      {3, 3, 2051, 0, 1},   {2, 2, 5000, 0, 1}};
    int turn = 0;
    for (const Shape &s : shapes)
        for (int values = 0; values < 4; values++) {
            Buffer<float> cosines((size_t)s.rows * s.columns);
            for (size_t k = 0; k < cosines.count; k++) {
                const double x = normal();
                // Numbers; ties; zeros of both signs; a number that is none, in some rows.
                cosines[k] = (float)(values == 1 ? rint(2 * x) / 2 : values == 2 ? (k % 3 ? 0. : -0.) : x);
                if (values == 3 && uniform() < 0.5 / s.columns) cosines[k] = uniform() < 0.5 ? NAN : -NAN;
            }
            Buffer<uint32_t> of_anchors(s.samples), of_keys(s.columns);
            for (int k = 0; k < s.samples; k++) of_anchors[k] = (uint32_t)(uniform() * 3);
            for (int k = 0; k < s.columns; k++) of_keys[k] = uniform() < 0.2 ? UNKNOWN_CLASS : (uint32_t)(uniform() * 3);
            // Of the 24 combinations three for each case; 5 and 24 have no common divisor, so all are met.
            for (int repeat = 0; repeat < 3; repeat++, turn += 5) {
                const auto &selection = selections[turn / 4 % selections.size()];
                Rules r = {{7, 1}, 5u << 24, s.rows, s.columns, s.samples, s.from_queue, s.num_sampled, turn % 2, turn / 2 % 2, (int)selection.size(), {}};
                for (size_t p = 0; p < selection.size(); p++) {
                    r.parts[p][0] = selection[p].first;
                    r.parts[p][1] = selection[p].second;
                }
                one(s.from_queue ? "queue" : s.num_sampled ? "sampled" : "batch", r, cosines, of_anchors, s.from_queue ? of_keys : of_anchors);
            }
        }
}
