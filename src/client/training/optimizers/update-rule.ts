/** A part of one parameter in one step of an optimizer. */
export interface Update {
  readonly values: Float32Array
  readonly gradient: Float32Array
  /** What the rule remembers from step to step, one array for each of its slots, as long as `values`. */
  readonly slots: readonly Float32Array[]
  /** Elements `from` to `until` are updated, `until` not included. */
  readonly from: number
  readonly until: number
  readonly learningRate: number
  /** The number of this step, from 1. */
  readonly step: number
}

/** How a step changes values. */
export interface UpdateRule {
  /** The names of what it remembers of each parameter; all begin with zeros. */
  readonly slots: readonly string[]
  update(update: Update): void
}
