import { createHash } from 'node:crypto'
import type { Tensor } from '../../tensor/tensor.ts'

/**
 * What the names begin with of adapters that clients bring. The rest is a digest of what they hold: who has one can
 * name it.
 */
export const CLIENT_ADAPTER = 'client:'

/** One module of an adapter as it travels, both matrices in memory. */
export interface LoadedModule {
  readonly name: string
  readonly scaling: number
  readonly a: Tensor
  readonly b: Tensor
}

/** Names an adapter by its contents, module by module: the same for whoever sends it and whoever takes it. */
export class AdapterDigest {
  readonly #hash = createHash('sha256')

  add({ name, scaling, a, b }: LoadedModule): void {
    for (const { dtype, shape } of [a, b]) this.#hash.update(JSON.stringify([name, scaling, dtype, shape]))
    this.#hash.update(a.data).update(b.data)
  }

  /** The end: nothing can be added any more. */
  name(): string {
    return CLIENT_ADAPTER + this.#hash.digest('hex')
  }
}
