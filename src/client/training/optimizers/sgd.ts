import type { UpdateRule } from './update-rule.ts'

export interface SgdOptions {
  readonly momentum: number
  /** Added to the gradient: weightDecay * value. */
  readonly weightDecay: number
}

/**
 * Stochastic gradient descent with momentum as torch has it: b = momentum * b + g, value -= rate * b, where b begins as
 * the first gradient (Sutskever et al., "On the importance of initialization and momentum in deep learning").
 */
export function sgd({ momentum, weightDecay }: SgdOptions): UpdateRule {
  if (momentum === 0) {
    return {
      slots: [],
      update({ values, gradient, from, until, learningRate }) {
        for (let i = from; i < until; i++) values[i]! -= learningRate * (gradient[i]! + weightDecay * values[i]!)
      },
    }
  }
  return {
    slots: ['momentum'],
    update({ values, gradient, slots: [buffer], from, until, learningRate }) {
      for (let i = from; i < until; i++) {
        // A buffer of zeros makes the first gradient of it, as it should be.
        const next = momentum * buffer![i]! + gradient[i]! + weightDecay * values[i]!
        buffer![i] = next
        values[i]! -= learningRate * next
      }
    },
  }
}
