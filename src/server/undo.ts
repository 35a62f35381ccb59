/** The steps that undo what was begun; run latest first. */
export class Undo {
  readonly #steps: (() => Promise<void> | void)[] = []

  /** Adds a step; steps run latest first. */
  push(step: () => Promise<void> | void): void {
    this.#steps.push(step)
  }

  /**
   * Runs each step once, even if called again. If a step throws, that error is thrown and the steps before it are not
   * run.
   */
  async run(): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) await step()
  }
}
