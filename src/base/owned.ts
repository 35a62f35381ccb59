/**
 * What one object holds and gives back together, latest first: the part of `DisposableStack` that is needed here, which
 * Node 22 does not have.
 */
export class Owned implements Disposable {
  #steps: (() => void)[] = []

  /** Takes over `value`; returns it. */
  use<T extends Disposable>(value: T): T {
    return this.adopt(value, (own) => own[Symbol.dispose]())
  }

  /** Takes over `value`, which `release` gives back; returns it. */
  adopt<T>(value: T, release: (value: T) => void): T {
    this.defer(() => release(value))
    return value
  }

  /** Adds something to be done when all is given back. */
  defer(step: () => void): void {
    this.#steps.push(step)
  }

  /** Hands everything over to a new owner; this one holds nothing any more. */
  move(): Owned {
    const heir = new Owned()
    heir.#steps = this.#steps
    this.#steps = []
    return heir
  }

  /** Gives back everything, also where some of it fails; then throws the first error. May be called again. */
  dispose(): void {
    let failure: { readonly error: unknown } | undefined
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        step()
      } catch (error) {
        failure ??= { error }
      }
    }
    if (failure !== undefined) throw failure.error
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}
