/** What has to be done to take back what was begun, the latest first. */
export class Undo {
  readonly #steps: (() => Promise<void> | void)[] = []

  push(step: () => Promise<void> | void): void {
    this.#steps.push(step)
  }

  /** Does each step once, also when called again. Throws what a step throws, with the steps before it left undone. */
  async run(): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) await step()
  }
}
