import { neg } from '../../elementwise-ops.ts'
import { gradientOf, inputOf, type Rules, uncovered, whole } from '../rule.ts'

/** Rotations of pairs of channels. */
export const ROTATIONS: Rules = {
  // A rotation's transpose is its inverse: the rotation by the opposite angles.
  'com.microsoft/RotaryEmbedding': whole((at) => {
    if (at.wants(2) || at.wants(3)) throw uncovered(at, 'has no gradient with respect to its tables')
    const [positions, cos, sin] = [inputOf(at, 1), inputOf(at, 2), inputOf(at, 3)]
    const inputs = [gradientOf(at), positions, cos, neg(at.g, sin, 'opposite_sin')]
    return at.g.node({ ...at.node, name: 'turned_back', inputs, outputs: [inputOf(at)] })
  }),
}
