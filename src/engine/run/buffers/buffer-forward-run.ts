import type { CacheRow } from '../../cache/buffers/cache-row.ts'
import type { ForwardPass } from '../../schedule/work.ts'
import type { TaskInput } from '../batch-runner.ts'
import type { PassRun } from '../tasks.ts'
import { promptsFrom } from '../deep-prompts.ts'
import type { BufferBatch } from './buffer-batch.ts'

/** What a pass is computed with. */
export interface BufferPassModules {
  /** A row of the pass's own, for one sequence after the other. */
  readonly row: CacheRow
  /** Runs a batch whose positions all lie before `positions`. */
  readonly run: (batch: BufferBatch, positions: number) => void
  readonly release: () => void
}

/**
 * A forward pass, piece by piece: one sequence after the other goes through all blocks in chunks. Keys and values lie
 * in buffers of the pass's own, which its end gives back.
 */
export class BufferForwardRun implements PassRun {
  readonly #modules: BufferPassModules
  readonly #pass: ForwardPass
  readonly #input: TaskInput
  readonly #maxTokens: number
  readonly #output: Uint8Array
  #sequence = 0
  #first = 0

  constructor(
    modules: BufferPassModules,
    { pass, input, maxTokens }: { pass: ForwardPass; input: TaskInput; maxTokens: number },
  ) {
    this.#modules = modules
    this.#pass = pass
    this.#input = input
    this.#maxTokens = maxTokens
    this.#output = new Uint8Array(maxTokens * this.#tokenBytes)
  }

  get isFinished(): boolean {
    return this.#sequence === this.#pass.sequences
  }

  /** Throws where the device fails; the pass is over then. */
  step(): number {
    const { start, end, tokens: length, client } = this.#pass
    const first = this.#first
    const tokens = Math.min(this.#maxTokens, length - first)
    const from = (this.#sequence * length + first) * this.#tokenBytes
    // What the blocks give takes the place of what they were given.
    const hidden = this.#input.hidden.subarray(from, from + tokens * this.#tokenBytes)
    const { adapter, prompts } = this.#input
    this.#modules.row.reserve(first + tokens, { start, end })
    const output = this.#output.subarray(0, hidden.byteLength)
    this.#modules.run(
      {
        rows: [this.#modules.row],
        pastLengths: [first],
        start,
        end,
        tokens,
        input: hidden,
        output,
        adapter,
        prompts: promptsFrom(prompts, first),
        client,
      },
      first + tokens,
    )
    hidden.set(output)
    this.#first = first + tokens === length ? 0 : first + tokens
    if (this.#first === 0) this.#sequence++
    return tokens
  }

  release(): void {
    this.#modules.row.release()
    this.#modules.release()
  }

  get #tokenBytes(): number {
    return this.#input.hidden.byteLength / (this.#pass.sequences * this.#pass.tokens)
  }
}
