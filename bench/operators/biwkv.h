// Bi-WKV: the arithmetic of one run of tokens, shared by the CPU's and the GPU's kernels.
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
// In the backward pass also their gradients: of the numerators (x), minus those of the denominators (one), and of
// the largest exponents.
template <class V>
struct GradRun : Run<V, true> {
  Sum<V> grad_left, grad_right;
  V grad_left_top, grad_right_top;
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

// Gradients of w and u, summed over the run. Leaves in gv and gk the gradients of each token's numerator and (minus)
// denominator, as parts of e^-top, and the tops of its right and left sums in tops_right and tops_left.
template <class V, class In, class Out, class Tops>
BIWKV_FUNCTION void output_gradients(const GradRun<V>& run, V w, V u, In k, In v, In gy, Out gk, Out gv, Tops tops_left,
                                     Tops tops_right, int64_t length, V& gw, V& gu) {
  walk(run, w, u, k, v, length, [&](int64_t i, V, V value, const Side<V, true>& left, const Side<V, true>& right,
                                          const Shares<V>& share) {
    const V over = right.sum.x * share.right + left.sum.x * share.left + share.own * value;
    const V under = right.sum.one * share.right + left.sum.one * share.left + share.own + V(EPS);
    const V g = gy(i) / under, h = g * over / under;
    const V by_top = h * V(-EPS);
    gw = gw + g * (right.slope.x * share.right + left.slope.x * share.left) -
         h * (right.slope.one * share.right + left.slope.one * share.left) +
         by_top * share.pick(left.slope.top, right.slope.top, V(0));
    gu = gu + share.own * (g * value - h) + share.pick(V(0), V(0), by_top);
    gv.put(i, g);
    gk.put(i, h);
    tops_left.put(i, left.sum.top);
    tops_right.put(i, right.sum.top);
  });
}

// Gradients of k and v through the outputs of the same run, and those of the run's left and right sums.
template <class V, class In, class Out, class Tops>
BIWKV_FUNCTION void token_gradients(GradRun<V>& run, V w, V u, In k, In v, Out gk, Out gv, Tops tops_left,
                                    Tops tops_right, int64_t length) {
  Sum<V> left, right;  // gradients of the sums, of tokens further on
  V left_top(0), right_top(0);
  for (int64_t i = length - 1; i >= 0; --i) {
    const V key = k(i), g = gv(i), h = gk(i), by_top = h * V(-EPS);
    const Shares<V> share(tops_left(i), tops_right(i), u + key);
    // The token enters the left sums after its own output ...
    const V e = exponential(key + left.top);
    const V own = exponential(u + key - share.top);
    V x = left.x * e + g * own, one = left.one * e + h * own;
    const auto kept = tops_left(i) - w >= key;
    V top = choose(kept, V(0), left_top) + share.pick(V(0), V(0), by_top);
    left_top = choose(kept, left_top, V(0)) + share.pick(by_top, V(0), V(0));
    left.top = left.top - w;
    add(left, V(0) - share.top, g, h);
    // ... and leaves the right sums before it.
    right.top = right.top + w;
    add(right, V(0) - share.top, g, h);
    right_top = right_top + share.pick(V(0), by_top, V(0));
    const V f = exponential(key + right.top + (i > 0 ? w : V(0)));
    x = x - right.x * f;
    one = one - right.one * f;
    if (i > 0) {
      const auto stayed = tops_right(i - 1) >= key;
      top = top + choose(stayed, V(0), right_top);
      right_top = choose(stayed, right_top, V(0));
    }
    gv.put(i, x);
    gk.put(i, x * v(i) - one + top);
  }
  run.grad_left = left;
  run.grad_right = right;
  run.grad_left_top = left_top;
  run.grad_right_top = right_top;
}

// From the gradients of each run's left and right sums to those of each run's own sums.
template <class V>
BIWKV_FUNCTION void scan_gradients(GradRun<V>* runs, int64_t count, int64_t stride, V w, int64_t length) {
  Sum<V> state;
  V state_top(0);
  for (int64_t r = count - 1; r >= 0; --r) {
    GradRun<V>& run = runs[r * stride];
    const auto kept = run.left.sum.top - w * V(length) >= run.own_left.sum.top;
    const Sum<V> later = state;
    const V later_top = state_top;
    state.top = state.top - w * V(length);
    state = join(state, run.grad_left);
    state_top = choose(kept, state_top, V(0)) + run.grad_left_top;
    run.grad_left = later;
    run.grad_left_top = choose(kept, V(0), later_top);
  }
  state = Sum<V>();
  state_top = V(0);
  for (int64_t r = 0; r < count; ++r) {
    GradRun<V>& run = runs[r * stride];
    state.top = state.top - w * V(length);
    state = join(state, run.grad_right);
    state_top = state_top + run.grad_right_top;
    run.grad_right = state;
    const V after = r + 1 < count ? runs[(r + 1) * stride].right.sum.top - w * V(length) : V(FLOOR);
    const auto kept = after >= run.own_right.sum.top;
    run.grad_right_top = choose(kept, V(0), state_top);
    state_top = choose(kept, state_top, V(0));
  }
}

// Add the gradients that reach k and v through the run's own sums.
template <class V, class In, class Out>
BIWKV_FUNCTION void add_sum_gradients(const GradRun<V>& run, V w, In k, In v, Out gk, Out gv, int64_t full_length,
                                      int64_t length) {
  for (int64_t i = 0; i < length; ++i) {
    const V key = k(i), to_end = V(full_length - i), to_start = V(i);
    const V e = exponential(key - w * to_end + run.grad_left.top);
    const V f = exponential(key - w * to_start + run.grad_right.top);
    const V x = run.grad_left.x * e + run.grad_right.x * f;
    const V one = run.grad_left.one * e + run.grad_right.one * f;
    // The slope of a largest exponent is minus the distance of the one token that it comes from.
    const V top = choose(run.own_left.slope.top + to_end == V(0), run.grad_left_top, V(0)) +
                  choose(run.own_right.slope.top + to_start == V(0), run.grad_right_top, V(0));
    gv.put(i, gv(i) + x);
    gk.put(i, gk(i) + x * v(i) - one + top);
  }
}

}  // namespace biwkv
