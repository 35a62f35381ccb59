import type { Pointer } from '../../runtime/library.ts'
import type { DeviceHeap } from '../../runtime/memory.ts'
import { type BatchPrompts, promptsOfBlock } from './deep-prompts.ts'
import type { RowBatch } from './row-batch.ts'
import { StagedMemory } from './staged-memory.ts'

/** Where the deep prompts of a run lie on the device: those of its blocks behind one another, brought there at once. */
export class PromptMemory {
  readonly #blockBytes: number
  readonly #memory: StagedMemory

  /** Room for `blockBytes` of each block. Throws `RUNTIME_MEMORY`. */
  constructor(heap: DeviceHeap, blocks: number, blockBytes: number) {
    this.#blockBytes = blockBytes
    this.#memory = new StagedMemory(heap, blocks * blockBytes)
  }

  /** [1, tokens, hidden] of block `index` of the run. */
  block(index: number): Pointer {
    return this.#memory.device + BigInt(index * this.#blockBytes)
  }

  /** Brings what a batch adds to each of its tokens to the device; all of these have prompts. */
  write({ start, end, tokens, input }: RowBatch, prompts: BatchPrompts): void {
    for (let i = 0; i < end - start; i++) {
      const added = promptsOfBlock(prompts, i, tokens, input.byteLength / tokens)
      this.#memory.bytes.set(added, i * this.#blockBytes)
    }
    this.#memory.write((end - start) * this.#blockBytes)
  }

  release(): void {
    this.#memory.release()
  }
}
