// Bi-WKV on the CPU: a task is one run of a pack of neighbouring channels of one batch entry. How tasks are spread
// over threads changes no result, nor does what else is in the batch.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <vector>

#define BIWKV_INLINE inline __attribute__((always_inline))

namespace biwkv {

// Vectors of 64 bytes; the compiler splits them where the processor's are shorter.
template <class T>
struct Lanes;
template <>
struct Lanes<float> {
  typedef float Vector __attribute__((vector_size(64)));
  typedef int32_t Bits __attribute__((vector_size(64)));
  static constexpr int MANTISSA = 23, DEGREE = 7;
  static constexpr float LOWEST = -86.f, ROUND = 12582912.f;  // 1.5 * 2^23: adding it rounds to an integer
  static constexpr float LN2_HIGH = 0.693359375f, LN2_LOW = -2.12194440e-4f;
};
template <>
struct Lanes<double> {
  typedef double Vector __attribute__((vector_size(64)));
  typedef int64_t Bits __attribute__((vector_size(64)));
  static constexpr int MANTISSA = 52, DEGREE = 13;
  static constexpr double LOWEST = -706., ROUND = 6755399441055744.;
  static constexpr double LN2_HIGH = 6.93145751953125e-1, LN2_LOW = 1.42860682030941723212e-6;
};

// Several vectors, so that the processor has independent work while one waits for the last step's result.
template <class T>
struct Pack {
  using L = Lanes<T>;
  using Vector = typename L::Vector;
  using Bits = typename L::Bits;
  static constexpr int VECTORS = 2, WIDTH = VECTORS * 64 / sizeof(T);
  struct Mask {
    Bits m[VECTORS];
  };
  Vector p[VECTORS];

  Pack() = default;
  BIWKV_INLINE explicit Pack(double value) {
    for (auto& part : p) part = Vector{} + static_cast<T>(value);
  }
};

#define EACH for (int i = 0; i < Pack<T>::VECTORS; ++i)
#define BINARY(OP)                                              \
  template <class T>                                            \
  BIWKV_INLINE Pack<T> operator OP(const Pack<T>& a, const Pack<T>& b) { \
    Pack<T> r;                                                  \
    EACH r.p[i] = a.p[i] OP b.p[i];                             \
    return r;                                                   \
  }
#define COMPARISON(OP)                                          \
  template <class T>                                            \
  BIWKV_INLINE typename Pack<T>::Mask operator OP(const Pack<T>& a, const Pack<T>& b) { \
    typename Pack<T>::Mask r;                                   \
    EACH r.m[i] = a.p[i] OP b.p[i];                             \
    return r;                                                   \
  }
BINARY(+)
BINARY(-)
BINARY(*)
BINARY(/)
COMPARISON(>=)
COMPARISON(==)
template <class T>
BIWKV_INLINE Pack<T> choose(const typename Pack<T>::Mask& m, const Pack<T>& a, const Pack<T>& b) {
  Pack<T> r;
  EACH r.p[i] = m.m[i] ? a.p[i] : b.p[i];
  return r;
}
template <class T>
BIWKV_INLINE Pack<T> larger(const Pack<T>& a, const Pack<T>& b) {
  Pack<T> r;
  EACH r.p[i] = a.p[i] > b.p[i] ? a.p[i] : b.p[i];
  return r;
}
template <class T>
BIWKV_INLINE Pack<T> smaller(const Pack<T>& a, const Pack<T>& b) {
  Pack<T> r;
  EACH r.p[i] = a.p[i] < b.p[i] ? a.p[i] : b.p[i];
  return r;
}

constexpr double inverse_factorial(int n) { return n == 0 ? 1. : inverse_factorial(n - 1) / n; }

// The Taylor series of e^x from the term of degree N on, divided by x^N.
template <class T, int N>
BIWKV_INLINE typename Lanes<T>::Vector series(typename Lanes<T>::Vector x) {
  constexpr T coefficient = static_cast<T>(inverse_factorial(N));
  if constexpr (N == Lanes<T>::DEGREE) {
    return typename Lanes<T>::Vector{} + coefficient;
  } else {
    return series<T, N + 1>(x) * x + coefficient;
  }
}

// e^x = 2^n e^rest with |rest| <= ln(2)/2; 0 below LOWEST. The kernels need no x above 0 (but for rounding).
template <class T>
BIWKV_INLINE Pack<T> exponential(const Pack<T>& x) {
  using L = Lanes<T>;
  using Vector = typename L::Vector;
  using Bits = typename L::Bits;
  Pack<T> r;
  EACH {
    const Vector rounded = x.p[i] * T(1.4426950408889634) + L::ROUND;  // n stands in the lowest bits
    const Vector n = rounded - L::ROUND;
    const Vector rest = x.p[i] - n * L::LN2_HIGH - n * L::LN2_LOW;
    const Vector scaled = (Vector)((Bits)series<T, 0>(rest) + ((Bits)rounded << L::MANTISSA));
    r.p[i] = x.p[i] < L::LOWEST ? Vector{} : scaled;
  }
  return r;
}

}  // namespace biwkv

#include "biwkv_gradient.h"

namespace biwkv {

// One pack of channels of a (tokens, channels) matrix; a pack that is not full is filled up with zeros.
template <class T>
struct Column {
  T* first;
  int64_t stride, channels;
  bool full() const { return channels == Pack<T>::WIDTH; }  // then the size is a constant, and a copy one instruction
  BIWKV_INLINE Pack<T> operator()(int64_t i) const {
    Pack<T> r(0);
    for (int p = 0; p < Pack<T>::VECTORS; ++p) {  // rows lie too far apart for the processor to see them coming
      __builtin_prefetch(first + (i + 8) * stride + p * 64 / sizeof(T));
    }
    std::memcpy(&r, first + i * stride, full() ? sizeof(r) : sizeof(T) * channels);
    return r;
  }
  BIWKV_INLINE void put(int64_t i, const Pack<T>& value) const { 
    std::memcpy(first + i * stride, &value, full() ? sizeof(value) : sizeof(T) * channels);
  }
};

template <class T>
int64_t pack_count(const Shape& s) {
  return (s.channels + Pack<T>::WIDTH - 1) / Pack<T>::WIDTH;
}

// One run of one pack of channels, and the columns of the arrays that belong to it.
template <class T>
struct Place {
  int64_t index, channel, channels, length, row, first, all_channels;
  Place(const Shape& s, int64_t i) : index(i), all_channels(s.channels) {
    const int64_t packs = pack_count<T>(s), run = i / packs % s.count, entry = i / packs / s.count;
    channel = i % packs * Pack<T>::WIDTH;
    channels = std::min<int64_t>(Pack<T>::WIDTH, s.channels - channel);
    length = s.run_length(run);
    row = entry * s.count + run;
    first = (entry * s.tokens + run * s.length) * s.channels + channel;
  }
  Column<T> of(T* x) const { return {x + first, all_channels, channels}; }
  Pack<T> parameter(T* x) const { return Column<T>{x + channel, 0, channels}(0); }
  Column<T> in_rows(T* x) const { return {x + row * all_channels + channel, 0, channels}; }
};

template <class T, class Task>
void each_run(const Shape& s, Task&& task) {
  at::parallel_for(0, s.batch * s.count * pack_count<T>(s), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) task(Place<T>(s, i));
  });
}

// Call task(first of its runs, place of that run) for each pack of channels of each batch entry.
template <class T, class R, class Task>
void each_sequence(const Shape& s, std::vector<R>& runs, Task&& task) {
  const int64_t packs = pack_count<T>(s);
  at::parallel_for(0, s.batch * packs, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Place<T> at(s, i / packs * s.count * packs + i % packs);
      task(&runs[at.index], at);
    }
  });
}

// The runs' sums, and those of all runs before and after each.
template <class T, class R>
std::vector<R> all_sums(T* w, T* k, T* v, const Shape& s) {
  std::vector<R> runs(s.batch * s.count * pack_count<T>(s));
  each_run<T>(s, [&](const Place<T>& at) {
    run_sums(runs[at.index], at.parameter(w), at.of(k), at.of(v), at.length);
  });
  each_sequence<T>(s, runs, [&](R* first, const Place<T>& at) {
    scan(first, s.count, pack_count<T>(s), at.parameter(w), s.length);
  });
  return runs;
}

template <class T>
void forward(T* w, T* u, T* k, T* v, T* y, const Shape& s) {
  const auto runs = all_sums<T, Run<Pack<T>, false>>(w, k, v, s);
  each_run<T>(s, [&](const Place<T>& at) {
    outputs(runs[at.index], at.parameter(w), at.parameter(u), at.of(k), at.of(v), at.of(y), at.length);
  });
}

// gw and gu are (batch * runs, channels): the caller adds up the rows.
template <class T>
void backward(T* w, T* u, T* k, T* v, T* gy, T* gw, T* gu, T* gk, T* gv, const Shape& s) {
  auto runs = all_sums<T, GradRun<Pack<T>>>(w, k, v, s);
  each_run<T>(s, [&](const Place<T>& at) {
    const Pack<T> ws = at.parameter(w), us = at.parameter(u);
    std::vector<Pack<T>> tops(2 * s.length);
    const Column<T> tops_left{reinterpret_cast<T*>(tops.data()), Pack<T>::WIDTH, Pack<T>::WIDTH};
    const Column<T> tops_right{tops_left.first + s.length * Pack<T>::WIDTH, Pack<T>::WIDTH, Pack<T>::WIDTH};
    Pack<T> sum_w(0), sum_u(0);
    output_gradients(runs[at.index], ws, us, at.of(k), at.of(v), at.of(gy), at.of(gk), at.of(gv), tops_left,
                     tops_right, at.length, sum_w, sum_u);
    token_gradients(runs[at.index], ws, us, at.of(k), at.of(v), at.of(gk), at.of(gv), tops_left, tops_right,
                    at.length);
    at.in_rows(gw).put(0, sum_w);
    at.in_rows(gu).put(0, sum_u);
  });
  each_sequence<T>(s, runs, [&](GradRun<Pack<T>>* first, const Place<T>& at) {
    scan_gradients(first, s.count, pack_count<T>(s), at.parameter(w), s.length);
  });
  each_run<T>(s, [&](const Place<T>& at) {
    add_sum_gradients(runs[at.index], at.parameter(w), at.of(k), at.of(v), at.of(gk), at.of(gv), s.length, at.length);
  });
}

}  // namespace biwkv

// The C interface that kernels.py calls; all arrays are contiguous.
#define BIWKV_EXPORT(NAME, T)                                                                                      \
  extern "C" void biwkv_forward_##NAME(T* w, T* u, T* k, T* v, T* y, int64_t batch, int64_t tokens,                \
                                       int64_t channels, int64_t runs) {                                           \
    biwkv::forward(w, u, k, v, y, biwkv::Shape(batch, tokens, channels, runs));                                    \
  }                                                                                                                \
  extern "C" void biwkv_backward_##NAME(T* w, T* u, T* k, T* v, T* gy, T* gw, T* gu, T* gk, T* gv, int64_t batch,  \
                                        int64_t tokens, int64_t channels, int64_t runs) {                          \
    biwkv::backward(w, u, k, v, gy, gw, gu, gk, gv, biwkv::Shape(batch, tokens, channels, runs));                  \
  }
BIWKV_EXPORT(float32, float)
BIWKV_EXPORT(float64, double)
