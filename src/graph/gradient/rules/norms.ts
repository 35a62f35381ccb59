import { convert } from '../../../tensor/convert.ts'
import { fromFloat32 } from '../../../tensor/tensor.ts'
import { mul, sub } from '../../ops.ts'
import { meanOfLast } from '../../primitive-ops.ts'
import { lastDim, withLastDim } from '../../shapes.ts'
import type { Value } from '../../value.ts'
import { axisOf, gradientOf, inputOf, intAttribute, type NodeGradient, type Rules, uncovered, whole } from '../rule.ts'

/**
 * Norms along the last axis. With xhat, the standardised x, and r, the factor that x was multiplied by,
 * y = xhat * weight + bias, and for u = dy * weight:
 *
 *     dx = r (u - mean(u) - xhat mean(u xhat)),
 *
 * without mean(u) where x was not shifted. xhat and r come from the norm's own operator.
 */
export const NORMS: Rules = {
  '/SimplifiedLayerNormalization': whole((at) => ofNorm(at, false)),
  '/LayerNormalization': whole((at) => ofNorm(at, true)),
}

function ofNorm(at: NodeGradient, isShifted: boolean): (Value | undefined)[] {
  const { g } = at
  const [weight, dY] = [inputOf(at, 1), gradientOf(at)]
  if (!at.wants(0) && !at.wants(1)) return [undefined, undefined, dY]
  const { standard, factor } = standardised(at, isShifted)
  const ofWeight = at.wants(1) ? mul(g, dY, standard, 'of_weight') : undefined
  if (!at.wants(0)) return [undefined, ofWeight, dY]
  const u = mul(g, dY, weight, 'weighted')
  const along = mul(g, standard, meanOfLast(g, mul(g, u, standard, 'products'), 'correlation'), 'along')
  const centred = isShifted ? sub(g, u, meanOfLast(g, u, 'mean'), 'centred') : u
  return [mul(g, sub(g, centred, along, 'across'), factor, 'of_x'), ofWeight, dY]
}

/** x without mean (if it is shifted) and of variance 1, and the factor that made it so. */
function standardised(at: NodeGradient, isShifted: boolean): { readonly standard: Value; readonly factor: Value } {
  const { g, node } = at
  const x = inputOf(at)
  const size = lastDim(x.shape)
  if (typeof size !== 'number' || axisOf(intAttribute(node, 'axis', -1), x.shape.length) !== x.shape.length - 1)
    throw uncovered(at, 'has a gradient only along a last axis of fixed size')
  const ones = g.constant('ones', convert(fromFloat32(new Float32Array(size).fill(1), [size]), x.dtype))
  const each = { dtype: x.dtype, shape: withLastDim(x.shape, 1) }
  const outputs = g.node({
    op: node.op,
    name: 'standard',
    inputs: [x, ones],
    outputs: isShifted ? [x, each, each] : [x, each],
    attributes: node.attributes,
  })
  return { standard: outputs[0]!, factor: outputs.at(-1)! }
}
