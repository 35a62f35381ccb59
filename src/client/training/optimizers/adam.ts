import type { UpdateRule } from './update-rule.ts'

export interface AdamOptions {
  readonly betas: readonly [number, number]
  readonly eps: number
  readonly weightDecay: number
  /** Whether weights decay by themselves (AdamW) and not through the gradient's moments (Adam). */
  readonly decoupled: boolean
}

/**
 * Adam with bias correction (Kingma and Ba, "Adam", in the form of torch: eps is added after the correction of the
 * second moment), and AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization").
 */
export function adam({ betas: [beta1, beta2], eps, weightDecay, decoupled }: AdamOptions): UpdateRule {
  return {
    slots: ['first_moment', 'second_moment'],
    update({ values, gradient, slots, from, until, learningRate, step }) {
      const [first, second] = slots as [Float32Array, Float32Array]
      const size = learningRate / (1 - beta1 ** step)
      const correction = Math.sqrt(1 - beta2 ** step)
      const keep = decoupled ? 1 - learningRate * weightDecay : 1
      const l2 = decoupled ? 0 : weightDecay
      for (let i = from; i < until; i++) {
        const value = values[i]!
        const g = gradient[i]! + l2 * value
        const m = (first[i] = beta1 * first[i]! + (1 - beta1) * g)
        const v = (second[i] = beta2 * second[i]! + (1 - beta2) * g * g)
        values[i] = value * keep - (size * m) / (Math.sqrt(v) / correction + eps)
      }
    },
  }
}
