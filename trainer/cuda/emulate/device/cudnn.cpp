// A stand-in for the part of libcudnn that `trainer::device::cudnn` calls: convolutions as loops over the sizes in the
// descriptors. It refuses descriptors of the wrong kind or layout, and lists a nondeterministic algorithm first, which
// must not be chosen.
#include "device.h"

namespace {

enum { SUCCESS = 0, BAD_PARAM = 2000 };
enum Kind { TENSOR = 11, FILTER = 12, CONVOLUTION = 13 };
const int CHOSEN = 1, DETERMINISTIC = 1;
const size_t WORKSPACE = 1000;

struct Descriptor {
    Kind kind;
    int type = -1, format = -1, n = 0, c = 0, h = 0, w = 0; // of a filter, n counts the outputs
    int pad = 0, stride = 0, math = -1;
    int64_t at(int in, int ih, int iw, int ic) const { return (((int64_t)in * h + ih) * w + iw) * c + ic; }
    int64_t count() const { return (int64_t)n * h * w * c; }
};

struct Performance {
    int algorithm, status;
    float time;
    size_t memory;
    int determinism, math, reserved[3];
};

int create(Descriptor **out, Kind kind) { return *out = new Descriptor{kind}, SUCCESS; }

// Type 0 is f32, 9 is bf16; format 1 is NHWC.
int set(Descriptor *d, Kind kind, int format, int type, int n, int c, int h, int w) {
    if (d->kind != kind || format != 1 || (type != 0 && type != 9)) return BAD_PARAM;
    d->type = type, d->format = format, d->n = n, d->c = c, d->h = h, d->w = w;
    return SUCCESS;
}

bool fits(const Descriptor *x, const Descriptor *w, const Descriptor *conv, const Descriptor *y) {
    if (x->kind != TENSOR || w->kind != FILTER || conv->kind != CONVOLUTION || y->kind != TENSOR) return false;
    if (x->type != w->type || x->type != y->type || x->n != y->n || x->c != w->c || y->c != w->n || conv->math < 0) return false;
    return y->h == (x->h + 2 * conv->pad - w->h) / conv->stride + 1 && y->w == (x->w + 2 * conv->pad - w->w) / conv->stride + 1;
}

int list(const Descriptor *x, const Descriptor *w, const Descriptor *conv, const Descriptor *y, int requested, int *returned, Performance *p) {
    if (!fits(x, w, conv, y) || requested < 2) return BAD_PARAM;
    p[0] = {0, SUCCESS, 0.1f, 0, 0, conv->math, {}};
    p[1] = {CHOSEN, SUCCESS, 0.2f, WORKSPACE, DETERMINISTIC, conv->math, {}};
    return *returned = 2, SUCCESS;
}

double get(const Descriptor *d, const void *data, int64_t i) {
    return d->type == 0 ? ((const float *)data)[i] : __bfloat162float(((const __nv_bfloat16 *)data)[i]);
}

std::vector<double> all(const Descriptor *d, const void *data) {
    std::vector<double> values(d->count());
    for (size_t i = 0; i < values.size(); i++) values[i] = get(d, data, i);
    return values;
}

void put(const Descriptor *d, void *data, const std::vector<double> &values) {
    for (size_t i = 0; i < values.size(); i++) {
        if (d->type == 0) ((float *)data)[i] = (float)values[i];
        else ((__nv_bfloat16 *)data)[i] = __float2bfloat16((float)values[i]);
    }
}

// Calls visit(place in x, place in w, place in y) for every product of the convolution.
template <typename Visit> void walk(const Descriptor *x, const Descriptor *w, const Descriptor *conv, const Descriptor *y, Visit visit) {
    for (int n = 0; n < y->n; n++)
        for (int p = 0; p < y->h; p++)
            for (int q = 0; q < y->w; q++)
                for (int o = 0; o < y->c; o++)
                    for (int i = 0; i < w->h; i++)
                        for (int j = 0; j < w->w; j++) {
                            const int ih = p * conv->stride + i - conv->pad, iw = q * conv->stride + j - conv->pad;
                            if (ih < 0 || ih >= x->h || iw < 0 || iw >= x->w) continue;
                            const int64_t from = x->at(n, ih, iw, 0), tap = w->at(o, i, j, 0), to = y->at(n, p, q, o);
                            for (int c = 0; c < w->c; c++) visit(from + c, tap + c, to);
                        }
}

bool runs(const float *alpha, const float *beta, int algorithm, void *space, size_t bytes, bool may_add = false) {
    if (*alpha != 1 || (*beta != 0 && !(may_add && *beta == 1)) || algorithm != CHOSEN || bytes != WORKSPACE || !space) return false;
    submit([=] { memset(space, 0, bytes); });
    return true;
}

} // namespace

extern "C" {

int cudnnCreate(void **handle) { return *handle = (void *)112, SUCCESS; }
int cudnnDestroy(void *) { return SUCCESS; }
int cudnnSetStream(void *, void *) { return SUCCESS; }
int cudnnCreateTensorDescriptor(Descriptor **d) { return create(d, TENSOR); }
int cudnnCreateFilterDescriptor(Descriptor **d) { return create(d, FILTER); }
int cudnnCreateConvolutionDescriptor(Descriptor **d) { return create(d, CONVOLUTION); }
int cudnnSetTensor4dDescriptor(Descriptor *d, int format, int type, int n, int c, int h, int w) {
    return set(d, TENSOR, format, type, n, c, h, w);
}
int cudnnSetFilter4dDescriptor(Descriptor *d, int type, int format, int k, int c, int h, int w) {
    return set(d, FILTER, format, type, k, c, h, w);
}
int cudnnSetConvolution2dDescriptor(Descriptor *d, int pad_h, int pad_w, int down, int right, int dilation_h, int dilation_w, int mode,
                                    int compute) {
    if (d->kind != CONVOLUTION || pad_h != pad_w || down != right || dilation_h != 1 || dilation_w != 1 || mode != 1 || compute != 0)
        return BAD_PARAM;
    return d->pad = pad_h, d->stride = down, SUCCESS;
}
int cudnnSetConvolutionMathType(Descriptor *d, int math) { return d->math = math, SUCCESS; }

int cudnnGetConvolutionForwardAlgorithm_v7(void *, Descriptor *x, Descriptor *w, Descriptor *conv, Descriptor *y, int requested,
                                           int *returned, Performance *p) {
    return list(x, w, conv, y, requested, returned, p);
}
int cudnnGetConvolutionBackwardDataAlgorithm_v7(void *, Descriptor *w, Descriptor *y, Descriptor *conv, Descriptor *x, int requested,
                                                int *returned, Performance *p) {
    return list(x, w, conv, y, requested, returned, p);
}
int cudnnGetConvolutionBackwardFilterAlgorithm_v7(void *, Descriptor *x, Descriptor *y, Descriptor *conv, Descriptor *w, int requested,
                                                  int *returned, Performance *p) {
    return list(x, w, conv, y, requested, returned, p);
}

int cudnnConvolutionForward(void *, const float *alpha, Descriptor *x, const void *xs, Descriptor *w, const void *ws, Descriptor *conv,
                            int algorithm, void *space, size_t bytes, const float *beta, Descriptor *y, void *ys) {
    if (!fits(x, w, conv, y) || !runs(alpha, beta, algorithm, space, bytes)) return BAD_PARAM;
    submit([=] {
        const std::vector<double> from = all(x, xs), filter = all(w, ws);
        std::vector<double> out(y->count());
        walk(x, w, conv, y, [&](int64_t a, int64_t b, int64_t c) { out[c] += from[a] * filter[b]; });
        put(y, ys, out);
    });
    return SUCCESS;
}
int cudnnConvolutionBackwardData(void *, const float *alpha, Descriptor *w, const void *ws, Descriptor *y, const void *ys, Descriptor *conv,
                                 int algorithm, void *space, size_t bytes, const float *beta, Descriptor *x, void *xs) {
    if (!fits(x, w, conv, y) || !runs(alpha, beta, algorithm, space, bytes, true)) return BAD_PARAM;
    const bool add = *beta == 1;
    submit([=] {
        const std::vector<double> filter = all(w, ws), from = all(y, ys);
        std::vector<double> out = add ? all(x, xs) : std::vector<double>(x->count());
        walk(x, w, conv, y, [&](int64_t a, int64_t b, int64_t c) { out[a] += filter[b] * from[c]; });
        put(x, xs, out);
    });
    return SUCCESS;
}
int cudnnConvolutionBackwardFilter(void *, const float *alpha, Descriptor *x, const void *xs, Descriptor *y, const void *ys,
                                   Descriptor *conv, int algorithm, void *space, size_t bytes, const float *beta, Descriptor *w, void *ws) {
    if (!fits(x, w, conv, y) || !runs(alpha, beta, algorithm, space, bytes)) return BAD_PARAM;
    submit([=] {
        const std::vector<double> inputs = all(x, xs), from = all(y, ys);
        std::vector<double> out(w->count());
        walk(x, w, conv, y, [&](int64_t a, int64_t b, int64_t c) { out[b] += inputs[a] * from[c]; });
        put(w, ws, out);
    });
    return SUCCESS;
}

} // extern "C"
