// Bi-WKV: the arithmetic of the backward pass. It walks the forward again, with the sums' derivatives by w; then it
// goes back through each run, through the sums over runs, and through each run's own sums.
#pragma once
#include "biwkv.h"

namespace biwkv {

// A run and the gradients of its sums: of the numerators (x), minus those of the denominators (one), and of
// the largest exponents.
template <class V>
struct GradRun : Run<V, true> {
  Sum<V> grad_left, grad_right;
  V grad_left_top, grad_right_top;
};

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
