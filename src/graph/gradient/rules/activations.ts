import { erf, neg } from '../../elementwise-ops.ts'
import { add, mul, sub } from '../../ops.ts'
import { exp, less, sigmoid, where } from '../../primitive-ops.ts'
import type { Value } from '../../value.ts'
import {
  elementwise,
  floatAttribute,
  gradientOf,
  inputOf,
  type NodeGradient,
  number,
  type Rules,
  stringAttribute,
} from '../rule.ts'

/** Activation functions. */
export const ACTIVATIONS: Rules = {
  '/Relu': elementwise((at) => {
    const zero = number(at, 0, inputOf(at))
    const isPositive = less(at.g, zero, inputOf(at), 'is_positive')
    return [where(at.g, isPositive, gradientOf(at), zero, 'relu')]
  }),
  // d tanh(x) = (1 - tanh(x)^2) dx
  '/Tanh': elementwise((at) => {
    const y = at.node.outputs[0]!
    return [times(at, sub(at.g, number(at, 1, y), mul(at.g, y, y, 'square'), 'slope'))]
  }),
  // d sigmoid(x) = y (1 - y) dx
  '/Sigmoid': elementwise((at) => {
    const y = at.node.outputs[0]!
    return [times(at, sub(at.g, y, mul(at.g, y, y, 'square'), 'slope'))]
  }),
  // With s = sigmoid(alpha x) and y = x s: dy = (s + alpha y (1 - s)) dx
  'com.microsoft/QuickGelu': elementwise((at) => {
    const alpha = floatAttribute(at.node, 'alpha', 1.702)
    const [x, y] = [inputOf(at), at.node.outputs[0]!]
    const scaled = (value: Value, name: string) => (alpha === 1 ? value : mul(at.g, value, number(at, alpha, x), name))
    const s = sigmoid(at.g, scaled(x, 'scaled'), 'sigmoid')
    const bend = scaled(mul(at.g, y, sub(at.g, number(at, 1, x), s, 'rest'), 'bend'), 'scaled_bend')
    return [times(at, add(at.g, s, bend, 'slope'))]
  }),
  '/Gelu': elementwise((at) => {
    const byTanh = stringAttribute(at.node, 'approximate', 'none') === 'tanh'
    return [times(at, byTanh ? tanhGeluSlope(at, inputOf(at)) : geluSlope(at, inputOf(at)))]
  }),
}

/**
 * Phi(x) + x phi(x): the normal distribution and its density. With u = x / sqrt(2), x phi(x) = u exp(-u^2) / sqrt(pi).
 */
function geluSlope(at: NodeGradient, x: Value): Value {
  const { g } = at
  const u = mul(g, x, number(at, Math.SQRT1_2, x), 'u')
  const bell = exp(g, neg(g, mul(g, u, u, 'square'), 'neg_square'), 'bell')
  const density = mul(g, mul(g, u, bell, 'u_bell'), number(at, 1 / Math.sqrt(Math.PI), x), 'density')
  const half = number(at, 0.5, x)
  const distribution = add(g, mul(g, erf(g, u, 'erf'), half, 'half_erf'), half, 'distribution')
  return add(g, distribution, density, 'slope')
}

/**
 * The approximation is x s with s = sigmoid(x (a x^2 + b)), b = 2 sqrt(2 / pi), a = 0.044715 b; its slope is
 * s (1 + (1 - s) (3 a x^3 + b x)).
 */
function tanhGeluSlope(at: NodeGradient, x: Value): Value {
  const { g } = at
  const [b, one] = [2 * Math.sqrt(2 / Math.PI), number(at, 1, x)]
  const cubic = mul(g, mul(g, x, x, 'square'), number(at, 0.044715 * b, x), 'a_square')
  const linear = number(at, b, x)
  const s = sigmoid(g, mul(g, x, add(g, cubic, linear, 'inner'), 'angle'), 'sigmoid')
  const steep = mul(g, x, add(g, mul(g, cubic, number(at, 3, x), 'three'), linear, 'inner_slope'), 'x_slope')
  return mul(g, s, add(g, one, mul(g, sub(g, one, s, 'rest'), steep, 'bend'), 'bent'), 'slope')
}

function times(at: NodeGradient, slope: Value): Value {
  return mul(at.g, gradientOf(at), slope, 'times_slope')
}
