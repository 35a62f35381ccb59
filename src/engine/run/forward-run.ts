import type { RankRange } from '../adapters/adapter-memory.ts'
import { BlockMemory, type RowMemory, cacheBytes } from '../cache/rows/row-memory.ts'
import { wholeUnits } from '../cache/rows/row.ts'
import { scalesOf } from '../cache/rows/scales.ts'
import type { ForwardPass } from '../schedule/work.ts'
import type { TaskInput } from './batch-runner.ts'
import { promptsFrom } from './deep-prompts.ts'
import type { RopeTensors } from './rope-tables.ts'
import type { RunnerSpan } from './runner-span.ts'
import type { Runner } from './runner.ts'

/** Blocks `start` to `end` for sequences `row` to `row + rows`, positions `first` to `first + tokens` of each. */
interface Piece {
  readonly start: number
  readonly end: number
  readonly row: number
  readonly rows: number
  readonly first: number
  readonly tokens: number
}

/** The rotary table of a pass, which fills up as its pieces need it. */
export interface PassRopes {
  /** The table, of which at least the first `positions` are there. */
  get(positions: number): RopeTensors
  release(): void
}

/**
 * A forward pass, piece by piece. Short sequences go through the blocks several at a time, long ones one after the
 * other in chunks. Where blocks are run singly, as on a CPU, all sequences go through one before any goes on to the
 * next; so the keys and values of one group of sequences in one block are all that is held. They lie in memory of the
 * pass's own, which its end gives back.
 */
export class ForwardRun {
  readonly #runner: Runner
  readonly #pass: ForwardPass
  readonly #input: TaskInput
  readonly #ropes: PassRopes
  readonly #pieces: Iterator<Piece, undefined>
  readonly #keysAndValues: BlockMemory
  readonly #memory: RowMemory
  readonly #capacity: number
  /** [sequences, tokens, hidden]: what the blocks so far have given, in the input's own buffer. */
  readonly #hidden: Uint8Array
  #next: Piece | undefined
  #output = new Uint8Array(0)

  /** `maxTokens`: of one piece, over its sequences. Throws `RUNTIME_MEMORY`; nothing is left behind then. */
  constructor(
    runner: Runner,
    span: RunnerSpan,
    { pass, input, ropes, maxTokens }: { pass: ForwardPass; input: TaskInput; ropes: PassRopes; maxTokens: number },
  ) {
    this.#runner = runner
    this.#pass = pass
    this.#input = input
    this.#ropes = ropes
    this.#hidden = input.hidden
    this.#capacity = wholeUnits(pass.tokens)
    const blocksAtOnce = span.resident === undefined ? 1 : pass.end - pass.start
    // Where all blocks are one run, it is cut where the prompts end: that takes one row.
    const most = span.resident !== undefined && input.prompts !== undefined ? 1 : pass.sequences
    const rowsAtOnce = Math.max(1, Math.min(most, Math.floor(maxTokens / pass.tokens)))
    this.#pieces = piecesOf(pass, { blocksAtOnce, rowsAtOnce, maxTokens })
    this.#next = this.#pieces.next().value
    const positions = rowsAtOnce * this.#capacity
    const scales = scalesOf(span, span.inputs.length, positions)
    this.#keysAndValues = new BlockMemory(span.device, blocksAtOnce, positions * cacheBytes(span))
    const { blocks } = this.#keysAndValues
    this.#memory = {
      device: span.device,
      kvHeads: span.kvHeads,
      tokenBytes: cacheBytes(span),
      blocks: span.inputs.map((_, block) => blocks[(block - pass.start) % blocksAtOnce] ?? blocks[0]!),
      scales,
      discards: false,
    }
  }

  get isFinished(): boolean {
    return this.#next === undefined
  }

  /**
   * Computes the next piece; returns its tokens, as a share of what they take in all blocks. Throws where the device
   * fails; the pass is over then.
   */
  step(): number {
    const { start, end, row, rows, first, tokens } = this.#next!
    const { prompts } = this.#input
    const tokenBytes = this.#hidden.byteLength / (this.#pass.sequences * this.#pass.tokens)
    const from = (row * this.#pass.tokens + first) * tokenBytes
    const input = this.#hidden.subarray(from, from + rows * tokens * tokenBytes)
    if (this.#output.byteLength < input.byteLength) this.#output = new Uint8Array(input.byteLength)
    const output = this.#output.subarray(0, input.byteLength)
    const adapter: RankRange | undefined = this.#input.adapter
    this.#runner.run(
      {
        memory: this.#memory,
        offset: 0,
        capacity: this.#capacity,
        pastLengths: Array<number>(rows).fill(first),
        start,
        end,
        tokens,
        input,
        output,
        adapters: adapter && Array<RankRange>(rows).fill(adapter),
        prompts: promptsFrom(prompts && { ...prompts, blocks: prompts.blocks.slice(start - this.#pass.start) }, first),
        client: this.#pass.client,
      },
      this.#ropes.get(first + tokens),
    )
    input.set(output)
    this.#next = this.#pieces.next().value
    return (rows * tokens * (end - start)) / (this.#pass.end - this.#pass.start)
  }

  release(): void {
    this.#ropes.release()
    this.#keysAndValues.release()
  }
}

function* piecesOf(
  { start, end, sequences, tokens }: ForwardPass,
  { blocksAtOnce, rowsAtOnce, maxTokens }: { blocksAtOnce: number; rowsAtOnce: number; maxTokens: number },
): Generator<Piece, undefined> {
  for (let block = start; block < end; block += blocksAtOnce) {
    const blocks = { start: block, end: Math.min(end, block + blocksAtOnce) }
    for (let row = 0; row < sequences; row += rowsAtOnce) {
      const rows = Math.min(rowsAtOnce, sequences - row)
      for (let first = 0; first < tokens; first += maxTokens)
        yield { ...blocks, row, rows, first, tokens: Math.min(maxTokens, tokens - first) }
    }
  }
}
