// Room optimizers/: what becomes of gradients. Rules of updates, learning rates over time, clipping.

import { UsageError } from '../../../base/errors.ts'
import { inPieces } from '../../../base/pace.ts'
import { setTo } from '../arithmetic.ts'
import type { Parameter } from '../parameter.ts'
import { adam } from './adam.ts'
import { sgd } from './sgd.ts'
import type { UpdateRule } from './update-rule.ts'

/** Which optimizer, by torch's names and with its meanings. */
export interface OptimizerOptions {
  /** `adamw` by default. */
  readonly name?: 'adamw' | 'adam' | 'sgd' | undefined
  /** Decay rates of Adam's two moments; 0.9 and 0.999 by default. */
  readonly betas?: readonly [number, number] | undefined
  /** Added to Adam's denominator; 1e-8 by default. */
  readonly eps?: number | undefined
  /** 0 by default. */
  readonly weightDecay?: number | undefined
  /** Of `sgd`; 0 by default. */
  readonly momentum?: number | undefined
}

/** What an optimizer remembers: enough to go on exactly. */
export interface OptimizerState {
  /** How many steps it has made. */
  readonly step: number
  /** Its slots by `parameter name/slot name`. */
  readonly slots: ReadonlyMap<string, Float32Array>
}

/** An optimizer and its state, for a fixed list of parameters. */
export class Optimizer {
  readonly #parameters: readonly Parameter[]
  readonly #rule: UpdateRule
  readonly #slots = new Map<string, Float32Array>()
  #step = 0

  /** Throws `USAGE` for options that cannot be. */
  constructor(parameters: readonly Parameter[], options: OptimizerOptions = {}) {
    this.#parameters = parameters
    this.#rule = ruleOf(options)
    for (const { name, values } of parameters)
      for (const slot of this.#rule.slots) this.#slots.set(`${name}/${slot}`, new Float32Array(values.length))
  }

  /** Changes the parameters' values by their gradients, in pieces. */
  async step(learningRate: number): Promise<void> {
    const step = ++this.#step
    for (const { name, values, gradient } of this.#parameters) {
      const slots = this.#rule.slots.map((slot) => this.#slots.get(`${name}/${slot}`)!)
      await inPieces(values.length, (from, until) =>
        this.#rule.update({ values, gradient, slots, from, until, learningRate, step }),
      )
    }
  }

  /** The state itself, not a copy. */
  get state(): OptimizerState {
    return { step: this.#step, slots: this.#slots }
  }

  /** Goes on from a state of the same optimizer, which is copied in pieces. Throws `USAGE` for another one's. */
  async restore({ step, slots }: OptimizerState): Promise<void> {
    for (const [name, own] of this.#slots) {
      const values = slots.get(name)
      if (values?.length !== own.length) throw new UsageError(`the optimizer's state has no ${name} of this size`)
      await setTo(own, values)
    }
    this.#step = step
  }
}

function ruleOf(options: OptimizerOptions): UpdateRule {
  const { name = 'adamw', betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0, momentum = 0 } = options
  checkRange('weightDecay', weightDecay, 0, Infinity)
  checkRange('momentum', momentum, 0, 1)
  checkRange('eps', eps, 0, Infinity)
  for (const beta of betas) checkRange('betas', beta, 0, 1)
  switch (name) {
    case 'sgd':
      return sgd({ momentum, weightDecay })
    case 'adam':
    case 'adamw':
      return adam({ betas, eps, weightDecay, decoupled: name === 'adamw' })
    default:
      throw new UsageError(`optimizer ${JSON.stringify(name)}: expected adamw, adam or sgd`)
  }
}

function checkRange(name: string, value: number, from: number, below: number): void {
  if (typeof value === 'number' && value >= from && value < below) return
  throw new UsageError(`${name} is ${value}: expected a number from ${from}${below === 1 ? ' and below 1' : ''}`)
}
