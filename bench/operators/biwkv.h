// Bi-WKV: the arithmetic of the forward pass, shared by the CPU's and the GPU's kernels.
//
// V is one value (CUDA) or a pack of channels (CPU), with + - * / >= == and the functions exponential, larger, smaller
// and choose(mask, a, b). A sequence is read and written as k(i) and k.put(i, value), i from 0. biwkv.py has the
// definition.
#pragma once
#include <cstdint>

#ifdef __CUDACC__
#define BIWKV_FUNCTION __device__ __forceinline__
#else
#define BIWKV_FUNCTION inline __attribute__((always_inline))  // a pack that is passed in memory costs more than its sum
#endif

namespace biwkv {

constexpr double EPS = 1e-6;
constexpr double FLOOR = -1e38;  // the exponent of an empty sum

// Tokens are cut into `count` runs of `length`; the last may be shorter.
struct Shape {
  int64_t batch, tokens, channels, length, count;
  Shape(int64_t b, int64_t t, int64_t c, int64_t runs)
      : batch(b), tokens(t), channels(c), length((t + runs - 1) / runs), count((t + length - 1) / length) {}
  BIWKV_FUNCTION int64_t run_length(int64_t run) const {
    return run + 1 < count ? length : tokens - run * length;
  }
};

// Two sums over tokens, x e^top and one e^top. `top` is their largest exponent, so neither can overflow.
template <class V>
struct Sum {
  V x = V(0), one = V(0), top = V(FLOOR);
};

// A sum, and for the backward pass its derivative by w: slope.x and slope.one are parts of e^top too, slope.top is
// the derivative of `top` itself.
template <class V, bool SLOPES>
struct Side {
  Sum<V> sum;
};
template <class V>
struct Side<V, true> {
  Sum<V> sum;
  Sum<V> slope{V(0), V(0), V(0)};
};

// What is known of one run: its own sums, those of all runs before it (left), of it and all after it (right).
template <class V, bool SLOPES>
struct Run {
  Side<V, SLOPES> own_left, own_right, left, right;
};

// e^(a - max) and e^(b - max); one of them is 1, so one exponential does.
template <class V>
struct Weights {
  V a, b, top;
  BIWKV_FUNCTION Weights(V p, V q) : top(larger(p, q)) {
    const V part = exponential(smaller(p, q) - top);
    a = choose(p >= q, V(1), part);
    b = choose(p >= q, part, V(1));
  }
};

template <class V>
BIWKV_FUNCTION void add(Sum<V>& sum, V exponent, V x, V one) {
  const Weights<V> e(sum.top, exponent);
  sum = {sum.x * e.a + x * e.b, sum.one * e.a + one * e.b, e.top};
}

template <class V>
BIWKV_FUNCTION Sum<V> join(const Sum<V>& p, const Sum<V>& q) {
  const Weights<V> e(p.top, q.top);
  return {p.x * e.a + q.x * e.b, p.one * e.a + q.one * e.b, e.top};
}

// Multiply by e^(-w distance).
template <class V, bool SLOPES>
BIWKV_FUNCTION void fade(Side<V, SLOPES>& p, V w, V distance) {
  p.sum.top = p.sum.top - w * distance;
  if constexpr (SLOPES) {
    p.slope = {p.slope.x - distance * p.sum.x, p.slope.one - distance * p.sum.one, p.slope.top - distance};
  }
}

// Add token (k, v), or take it away: sign 1 or -1.
template <class V, bool SLOPES>
BIWKV_FUNCTION void add_token(Side<V, SLOPES>& p, V k, V v, V sign) {
  const Weights<V> e(p.sum.top, k);
  if constexpr (SLOPES) p.slope = {p.slope.x * e.a, p.slope.one * e.a, choose(p.sum.top >= k, p.slope.top, V(0))};
  const V weight = sign * e.b;
  p.sum = {p.sum.x * e.a + v * weight, p.sum.one * e.a + weight, e.top};
}

template <class V, bool SLOPES>
BIWKV_FUNCTION Side<V, SLOPES> join(const Side<V, SLOPES>& p, const Side<V, SLOPES>& q) {
  const Weights<V> e(p.sum.top, q.sum.top);
  Side<V, SLOPES> r;
  r.sum = {p.sum.x * e.a + q.sum.x * e.b, p.sum.one * e.a + q.sum.one * e.b, e.top};
  if constexpr (SLOPES) {
    r.slope = {p.slope.x * e.a + q.slope.x * e.b, p.slope.one * e.a + q.slope.one * e.b,
               choose(p.sum.top >= q.sum.top, p.slope.top, q.slope.top)};
  }
  return r;
}

// The sums of a run as the next run's start sees them (left), and as its own start does (right).
template <class V, bool SLOPES, class In>
BIWKV_FUNCTION void run_sums(Run<V, SLOPES>& run, V w, In k, In v, int64_t length) {
  Side<V, SLOPES> left, right;
  for (int64_t i = 0, j = length - 1; i < length; ++i, --j) {
    add_token(left, k(i), v(i), V(1));
    fade(left, w, V(1));
    fade(right, w, V(1));
    add_token(right, k(j), v(j), V(1));
  }
  run.own_left = left;
  run.own_right = right;
}

// Sum up over the runs, `stride` apart in memory; `length` is that of all but the last.
template <class V, class R>
BIWKV_FUNCTION void scan(R* runs, int64_t count, int64_t stride, V w, int64_t length) {
  decltype(runs->left) state;
  for (int64_t r = 0; r < count; ++r) {
    R& run = runs[r * stride];
    run.left = state;
    fade(state, w, V(length));
    state = join(state, run.own_left);
  }
  state = decltype(runs->left)();
  for (int64_t r = count - 1; r >= 0; --r) {
    R& run = runs[r * stride];
    fade(state, w, V(length));
    state = join(state, run.own_right);
    run.right = state;
  }
}

// Weights of the left sums, the right sums and the token itself, as parts of the largest of the three.
template <class V>
struct Shares {
  V left, right, own, top;
  decltype(V() >= V()) from_sums, from_right;  // where the largest exponent comes from
  BIWKV_FUNCTION Shares(V left_top, V right_top, V own_top)
      : from_sums(larger(left_top, right_top) >= own_top), from_right(right_top >= left_top) {
    const Weights<V> sides(right_top, left_top);
    const Weights<V> e(sides.top, own_top);
    right = sides.a * e.a;
    left = sides.b * e.a;
    own = e.b;
    top = e.top;
  }
  // Pick by where the largest exponent comes from.
  BIWKV_FUNCTION V pick(V of_left, V of_right, V of_own) const {
    return choose(from_sums, choose(from_right, of_right, of_left), of_own);
  }
};

// Walk the tokens of a run: visit(i, k, v, left, right, shares) at each.
template <class V, bool SLOPES, class In, class Visit>
BIWKV_FUNCTION void walk(const Run<V, SLOPES>& run, V w, V u, In k, In v, int64_t length, Visit&& visit) {
  Side<V, SLOPES> left = run.left, right = run.right;
  V key = k(0), value = v(0);
  const V first = exponential(key - right.sum.top);  // the token itself leaves the right sums, their exponent stays
  right.sum.x = right.sum.x - first * value;
  right.sum.one = right.sum.one - first;
  for (int64_t i = 0;; ++i) {
    visit(i, key, value, left, right, Shares<V>(left.sum.top, right.sum.top, u + key));
    if (i + 1 == length) return;
    fade(left, w, V(1));
    add_token(left, key, value, V(1));
    key = k(i + 1);
    value = v(i + 1);
    add_token(right, key, value, V(-1));
    fade(right, w, V(-1));
  }
}

template <class V, class In, class Out>
BIWKV_FUNCTION void outputs(const Run<V, false>& run, V w, V u, In k, In v, Out y, int64_t length) {
  walk(run, w, u, k, v, length, [&](int64_t i, V, V value, const Side<V, false>& left, const Side<V, false>& right,
                                    const Shares<V>& share) {
    const V over = right.sum.x * share.right + left.sum.x * share.left + share.own * value;
    const V under = right.sum.one * share.right + left.sum.one * share.left + share.own + V(EPS);
    y.put(i, over / under);
  });
}

}  // namespace biwkv
