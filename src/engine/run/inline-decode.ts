import type { Environment } from '../../runtime/environment.ts'
import type { RankRange } from '../adapters/adapter-memory.ts'
import type { Place, SequenceId } from '../cache/kv-cache.ts'
import type { RowMemory } from '../cache/rows/row-memory.ts'
import { RowBases } from '../cache/rows/window.ts'
import { type RopeTensors, filledPositions } from './rope-tables.ts'
import type { RunnerSpan } from './runner-span.ts'
import { CpuRunner } from './runner.ts'

/** One sequence's decode step, blocks counted within the span. */
export interface InlineStep {
  readonly place: Place
  readonly ropeKey: string
  readonly adapter?: RankRange | undefined
  readonly start: number
  readonly end: number
  readonly position: number
}

/** A step that takes longer does not belong on a thread that answers others; its hand-over costs a quarter of a ms. */
const MAX_SECONDS = 0.002

/** Of the latest kinds of sessions. */
const MAX_TABLES = 16

/** While several sessions decode, the engine thread makes one run of their steps. */
const OTHER_SEQUENCE_MS = 20

/**
 * Short decode steps on the caller's own thread: the hand-over to the engine thread and back costs about as much as a
 * small span's step. Only while that thread is idle, one session alone is decoding, and steps are known to be short.
 */
export class InlineDecode {
  readonly #runner: CpuRunner | undefined
  readonly #memory: RowMemory | undefined
  readonly #bases: RowBases | undefined
  readonly #tables = new Map<string, RopeTensors>()
  #stepSeconds = Infinity
  #lastSequence = -1
  #otherSequenceAt = -Infinity

  constructor(env: Environment, span: RunnerSpan, memory: RowMemory | undefined) {
    // What a device has recorded belongs to the engine thread.
    this.#runner = span.resident === undefined ? new CpuRunner(env, span) : undefined
    this.#memory = memory
    this.#bases = memory?.window && new RowBases(memory.window)
  }

  /** A table of the engine thread's; a step whose table is gone from here, or not filled so far, goes there. */
  addTable(key: string, table: RopeTensors): void {
    this.#tables.delete(key)
    this.#tables.set(key, table)
    for (const [oldest] of this.#tables) if (this.#tables.size > MAX_TABLES) this.#tables.delete(oldest)
  }

  /** Learns from a run how long a step of one sequence takes. */
  observe({ kind, rows, seconds }: { readonly kind: string; readonly rows: number; readonly seconds: number }): void {
    if (kind === 'decode' && rows === 1) this.#stepSeconds = seconds
  }

  /** Learns which sequence decodes now. */
  noteStep(sequence: SequenceId): void {
    if (sequence !== this.#lastSequence) this.#otherSequenceAt = performance.now()
    this.#lastSequence = sequence
  }

  /** Whether the step may run here, which was noted before. */
  suits({ ropeKey, place, position }: InlineStep): boolean {
    const table = this.#tables.get(ropeKey)
    return (
      this.#runner !== undefined &&
      this.#stepSeconds < MAX_SECONDS &&
      performance.now() - this.#otherSequenceAt > OTHER_SEQUENCE_MS &&
      table !== undefined &&
      table.positions >= place.capacity &&
      filledPositions(table) > position &&
      // What else would have to move first takes its time.
      (this.#bases?.hasRoom(place, position, 1) ?? true)
    )
  }

  /** Computes `hidden` [1, hidden]. Throws `RuntimeError`; then the sequence is as before. */
  run(step: InlineStep, hidden: Uint8Array): { output: Uint8Array; seconds: number } {
    const { place, ropeKey, adapter, start, end, position } = step
    const began = performance.now()
    const output = new Uint8Array(hidden.byteLength)
    this.#runner!.run(
      {
        ...place,
        memory: this.#memory!,
        bases: this.#bases && [this.#bases.get(place)],
        start,
        end,
        tokens: 1,
        pastLengths: [position],
        adapters: adapter && [adapter],
        input: hidden,
        output,
      },
      this.#tables.get(ropeKey)!,
    )
    const seconds = (performance.now() - began) / 1000
    this.observe({ kind: 'decode', rows: 1, seconds })
    return { output, seconds }
  }

  close(): void {
    this.#runner?.close()
  }
}
