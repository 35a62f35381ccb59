import { neg, sign } from '../../elementwise-ops.ts'
import { cast, mul, sub } from '../../ops.ts'
import { div, exp, less, where } from '../../primitive-ops.ts'
import type { Value } from '../../value.ts'
import { elementwise, gradientOf, inputOf, type NodeGradient, number, type Rules, uncovered } from '../rule.ts'

/** Operators that compute each element by itself, operands broadcast. */
export const ARITHMETIC: Rules = {
  '/Add': elementwise((at) => [gradientOf(at), gradientOf(at)]),
  '/Sub': elementwise((at) => [gradientOf(at), at.wants(1) ? neg(at.g, gradientOf(at), 'neg') : undefined]),
  '/Mul': elementwise((at) => {
    const [a, b] = [inputOf(at, 0), inputOf(at, 1)]
    const ofA = at.wants(0) ? mul(at.g, gradientOf(at), b, 'of_a') : undefined
    if (a === b) return [ofA, ofA]
    return [ofA, at.wants(1) ? mul(at.g, gradientOf(at), a, 'of_b') : undefined]
  }),
  // d(a / b) = da / b - (a / b) * db / b
  '/Div': elementwise((at) => {
    const ofA = div(at.g, gradientOf(at), inputOf(at, 1), 'of_a')
    if (!at.wants(1)) return [ofA]
    return [ofA, neg(at.g, mul(at.g, ofA, at.node.outputs[0]!, 'times_quotient'), 'of_b')]
  }),
  '/Neg': elementwise((at) => [neg(at.g, gradientOf(at), 'neg')]),
  // Of two equal operands the first is the one that was taken.
  '/Max': choice((at) => less(at.g, inputOf(at, 0), inputOf(at, 1), 'is_second')),
  '/Min': choice((at) => less(at.g, inputOf(at, 1), inputOf(at, 0), 'is_second')),
  '/Where': elementwise((at) => [
    undefined,
    at.wants(1) ? where(at.g, inputOf(at, 0), gradientOf(at), zero(at), 'of_first') : undefined,
    at.wants(2) ? where(at.g, inputOf(at, 0), zero(at), gradientOf(at), 'of_second') : undefined,
  ]),
  '/Pow': elementwise((at) => {
    const [x, exponent] = [inputOf(at, 0), inputOf(at, 1)]
    if (!at.wants(0) || exponent.dtype !== x.dtype) return []
    const lower = sub(at.g, exponent, number(at, 1, x), 'lower_exponent')
    const [power] = at.g.node({ op: 'Pow', name: 'power', inputs: [x, lower], outputs: at.node.outputs })
    return [mul(at.g, gradientOf(at), mul(at.g, power!, exponent, 'slope'), 'of_base')]
  }),
  '/Abs': elementwise((at) => [mul(at.g, gradientOf(at), sign(at.g, inputOf(at), 'sign'), 'abs')]),
  '/Exp': elementwise((at) => [mul(at.g, gradientOf(at), at.node.outputs[0]!, 'exp')]),
  '/Log': elementwise((at) => [div(at.g, gradientOf(at), inputOf(at), 'log')]),
  // d sqrt(x) = dx / (2 sqrt(x))
  '/Sqrt': elementwise((at) => {
    const half = mul(at.g, gradientOf(at), number(at, 0.5, gradientOf(at)), 'half')
    return [div(at.g, half, at.node.outputs[0]!, 'sqrt')]
  }),
  '/Reciprocal': elementwise((at) => {
    const y = at.node.outputs[0]!
    return [neg(at.g, mul(at.g, gradientOf(at), mul(at.g, y, y, 'square'), 'times_square'), 'reciprocal')]
  }),
  // d erf(x) = 2 / sqrt(pi) exp(-x^2) dx
  '/Erf': elementwise((at) => {
    const x = inputOf(at)
    const bell = exp(at.g, neg(at.g, mul(at.g, x, x, 'square'), 'neg_square'), 'bell')
    const slope = mul(at.g, bell, number(at, 2 / Math.sqrt(Math.PI), x), 'slope')
    return [mul(at.g, gradientOf(at), slope, 'erf')]
  }),
  // Within the bounds, these included, the gradient passes.
  '/Clip': elementwise((at) => {
    const [x, least, most] = at.node.inputs
    const under = least === undefined ? gradientOf(at) : pass(at, less(at.g, x!, least, 'is_under'))
    if (most === undefined) return [under]
    return [where(at.g, less(at.g, most, x!, 'is_over'), zero(at), under, 'not_over')]
  }),
  '/Cast': elementwise((at) => [cast(at.g, gradientOf(at), inputOf(at).dtype, 'cast')]),
  '/Identity': elementwise((at) => [gradientOf(at)]),
}

/** The row of an operator that takes one of two operands; `isSecond` says where it is the second. */
function choice(isSecond: (at: NodeGradient) => Value): Rules[string] {
  return elementwise((at) => {
    if (at.node.inputs.length !== 2)
      throw uncovered(at, `of ${at.node.inputs.length} operands has no gradient, only of 2`)
    const second = isSecond(at)
    return [
      at.wants(0) ? where(at.g, second, zero(at), gradientOf(at), 'of_first') : undefined,
      at.wants(1) ? where(at.g, second, gradientOf(at), zero(at), 'of_second') : undefined,
    ]
  })
}

function pass(at: NodeGradient, isStopped: Value): Value {
  return where(at.g, isStopped, zero(at), gradientOf(at), 'passed')
}

function zero(at: NodeGradient): Value {
  return number(at, 0, gradientOf(at))
}
