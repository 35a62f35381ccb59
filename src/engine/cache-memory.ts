import type { Device } from '../runtime/device.ts'
import type { Environment } from '../runtime/environment.ts'
import type { Pointer } from '../runtime/library.ts'
import { type DeviceMemory, allocate } from '../runtime/memory.ts'

/** Where one block's keys and values begin. */
export interface BlockCache {
  readonly key: Pointer
  readonly value: Pointer
}

/** The KV cache of all blocks of a span: one piece of memory per block for keys, one for values, valid in every thread. */
export class CacheMemory {
  readonly blocks: readonly BlockCache[]
  readonly #memory: readonly DeviceMemory[]

  /** `bytes` for the keys of one block, and as many for its values. */
  constructor(env: Environment, device: Device, sessions: readonly Pointer[], bytes: number) {
    const memory = sessions.map((session) => ({ key: allocate(env, device, session, bytes), value: allocate(env, device, session, bytes) }))
    this.#memory = memory.flatMap(({ key, value }) => [key, value])
    this.blocks = memory.map(({ key, value }) => ({ key: key.address, value: value.address }))
  }

  release(): void {
    for (const memory of this.#memory) memory.release()
  }
}
