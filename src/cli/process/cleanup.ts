/** Steps that close what was opened; run latest first. */
export class Cleanup {
  readonly #steps: (() => Promise<unknown> | void)[] = []

  /** Adds a step; steps run latest first. */
  add(step: () => Promise<unknown> | void): void {
    this.#steps.push(step)
  }

  /** Runs all steps, even after one has failed; throws the first error. */
  async run(): Promise<void> {
    const failures: unknown[] = []
    for (const step of this.#steps.splice(0).toReversed()) {
      try {
        await step()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
}
