// Bi-WKV on the CPU: one thread takes a pack of neighbouring channels of one batch entry through all runs, so the
// result depends neither on the number of threads nor on what else is in the batch.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <vector>

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
  explicit Pack(double value) {
    for (auto& part : p) part = Vector{} + static_cast<T>(value);
  }
};

#define EACH for (int i = 0; i < Pack<T>::VECTORS; ++i)
#define BINARY(OP)                                              \
  template <class T>                                            \
  inline Pack<T> operator OP(const Pack<T>& a, const Pack<T>& b) { \
    Pack<T> r;                                                  \
    EACH r.p[i] = a.p[i] OP b.p[i];                             \
    return r;                                                   \
  }
#define COMPARISON(OP)                                          \
  template <class T>                                            \
  inline typename Pack<T>::Mask operator OP(const Pack<T>& a, const Pack<T>& b) { \
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
inline Pack<T> choose(const typename Pack<T>::Mask& m, const Pack<T>& a, const Pack<T>& b) {
  Pack<T> r;
  EACH r.p[i] = m.m[i] ? a.p[i] : b.p[i];
  return r;
}
template <class T>
inline Pack<T> larger(const Pack<T>& a, const Pack<T>& b) {
  Pack<T> r;
  EACH r.p[i] = a.p[i] > b.p[i] ? a.p[i] : b.p[i];
  return r;
}
template <class T>
inline Pack<T> smaller(const Pack<T>& a, const Pack<T>& b) {
  Pack<T> r;
  EACH r.p[i] = a.p[i] < b.p[i] ? a.p[i] : b.p[i];
  return r;
}

constexpr double inverse_factorial(int n) { return n == 0 ? 1. : inverse_factorial(n - 1) / n; }

// The Taylor series of e^x from the term of degree N on, divided by x^N.
template <class T, int N>
inline typename Lanes<T>::Vector series(typename Lanes<T>::Vector x) {
  constexpr T coefficient = static_cast<T>(inverse_factorial(N));
  if constexpr (N == Lanes<T>::DEGREE) {
    return typename Lanes<T>::Vector{} + coefficient;
  } else {
    return series<T, N + 1>(x) * x + coefficient;
  }
}

// e^x = 2^n e^rest with |rest| <= ln(2)/2; 0 below LOWEST. The kernels need no x above 0 (but for rounding).
template <class T>
inline Pack<T> exponential(const Pack<T>& x) {
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

#include "biwkv.h"

namespace biwkv {

// One pack of channels of a (tokens, channels) matrix; a pack that is not full is filled up with zeros.
template <class T>
struct Column {
  T* first;
  int64_t stride, channels;
  bool full() const { return channels == Pack<T>::WIDTH; }  // then the size is a constant, and a copy one instruction
  Pack<T> operator()(int64_t i) const {
    Pack<T> r(0);
    std::memcpy(&r, first + i * stride, full() ? sizeof(r) : sizeof(T) * channels);
    return r;
  }
  void put(int64_t i, const Pack<T>& value) const { 
    std::memcpy(first + i * stride, &value, full() ? sizeof(value) : sizeof(T) * channels);
  }
  Column from(int64_t row) const { return {first + row * stride, stride, channels}; }
};

// Call task(entry of the batch, first channel, number of channels) for every pack.
template <class T, class Task>
void each_pack(const Shape& s, Task&& task) {
  const int64_t packs = (s.channels + Pack<T>::WIDTH - 1) / Pack<T>::WIDTH;
  at::parallel_for(0, s.batch * packs, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t channel = i % packs * Pack<T>::WIDTH;
      task(i / packs, channel, std::min<int64_t>(Pack<T>::WIDTH, s.channels - channel));
    }
  });
}

template <class T>
void forward(T* w, T* u, T* k, T* v, T* y, const Shape& s) {
  each_pack<T>(s, [&](int64_t entry, int64_t channel, int64_t channels) {
    const auto column = [&](T* x) {
      return Column<T>{x + entry * s.tokens * s.channels + channel, s.channels, channels};
    };
    const Pack<T> ws = Column<T>{w + channel, 0, channels}(0), us = Column<T>{u + channel, 0, channels}(0);
    std::vector<Run<Pack<T>, false>> runs(s.count);
    for (int64_t r = 0; r < s.count; ++r) {
      run_sums(runs[r], ws, column(k).from(r * s.length), column(v).from(r * s.length), s.run_length(r));
    }
    scan<Pack<T>>(runs.data(), s.count, 1, ws, s.length);
    for (int64_t r = 0; r < s.count; ++r) {
      const int64_t start = r * s.length;
      outputs(runs[r], ws, us, column(k).from(start), column(v).from(start), column(y).from(start), s.run_length(r));
    }
  });
}

// gw and gu are (batch, channels): the caller adds up the batch.
template <class T>
void backward(T* w, T* u, T* k, T* v, T* gy, T* gw, T* gu, T* gk, T* gv, const Shape& s) {
  each_pack<T>(s, [&](int64_t entry, int64_t channel, int64_t channels) {
    const auto column = [&](T* x) {
      return Column<T>{x + entry * s.tokens * s.channels + channel, s.channels, channels};
    };
    const Pack<T> ws = Column<T>{w + channel, 0, channels}(0), us = Column<T>{u + channel, 0, channels}(0);
    std::vector<GradRun<Pack<T>>> runs(s.count);
    std::vector<Pack<T>> tops(2 * s.length);
    const Column<T> tops_left{reinterpret_cast<T*>(tops.data()), Pack<T>::WIDTH, Pack<T>::WIDTH};
    const Column<T> tops_right = tops_left.from(s.length);
    Pack<T> sum_w(0), sum_u(0);
    for (int64_t r = 0; r < s.count; ++r) {
      run_sums(runs[r], ws, column(k).from(r * s.length), column(v).from(r * s.length), s.run_length(r));
    }
    scan<Pack<T>>(runs.data(), s.count, 1, ws, s.length);
    for (int64_t r = 0; r < s.count; ++r) {
      const int64_t start = r * s.length, length = s.run_length(r);
      const auto ks = column(k).from(start), vs = column(v).from(start), gys = column(gy).from(start);
      const auto gks = column(gk).from(start), gvs = column(gv).from(start);
      output_gradients(runs[r], ws, us, ks, vs, gys, gks, gvs, tops_left, tops_right, length, sum_w, sum_u);
      token_gradients(runs[r], ws, us, ks, vs, gks, gvs, tops_left, tops_right, length);
    }
    scan_gradients(runs.data(), s.count, 1, ws, s.length);
    for (int64_t r = 0; r < s.count; ++r) {
      const int64_t start = r * s.length;
      add_sum_gradients(runs[r], ws, column(k).from(start), column(v).from(start), column(gk).from(start),
                        column(gv).from(start), s.length, s.run_length(r));
    }
    Column<T>{gw + entry * s.channels + channel, 0, channels}.put(0, sum_w);
    Column<T>{gu + entry * s.channels + channel, 0, channels}.put(0, sum_u);
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
