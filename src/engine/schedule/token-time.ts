/** Weight that older runs keep. */
const DECAY = 0.97

/** What a computed token takes, as a mean over the last runs: the price of work that computes none. */
export class TokenTime {
  #tokens = 0
  #milliseconds = 0

  /** A run of so many tokens took so long. */
  ran(tokens: number, milliseconds: number): void {
    this.#tokens = this.#tokens * DECAY + tokens
    this.#milliseconds = this.#milliseconds * DECAY + milliseconds
  }

  /** How many tokens are computed in this time; none while no run has been seen. */
  tokensIn(milliseconds: number): number {
    return this.#milliseconds === 0 ? 0 : (milliseconds * this.#tokens) / this.#milliseconds
  }
}
