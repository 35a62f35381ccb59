import { createHash } from 'node:crypto'
import type { Tensor } from '../../tensor/tensor.ts'

/**
 * Prefix of the names of adapters that clients upload. The rest of the name is a digest of the adapter's contents, so
 * only a client that has the adapter can name it.
 */
export const CLIENT_ADAPTER = 'client:'

/** One module of an adapter as it is sent over the network, with both matrices in memory. */
export interface LoadedModule {
  readonly name: string
  readonly scaling: number
  readonly a: Tensor
  readonly b: Tensor
}

/**
 * Computes an adapter's name from its contents, module by module, so that sender and receiver arrive at the same name.
 */
export class AdapterDigest {
  readonly #hash = createHash('sha256')

  /** Adds the next module; their order counts. */
  add({ name, scaling, a, b }: LoadedModule): void {
    for (const { dtype, shape } of [a, b]) this.#hash.update(JSON.stringify([name, scaling, dtype, shape]))
    this.#hash.update(a.data).update(b.data)
  }

  /** Finishes the digest and returns the name; nothing may be added afterwards. */
  name(): string {
    return CLIENT_ADAPTER + this.#hash.digest('hex')
  }
}
