import type { SequenceId } from '../cache/kv-cache.ts'
import type { RunTime } from './run-time.ts'

/** By how much a run may take longer for the sake of what one client has in excess of all others. */
const SLACK = 0.1

/** Who has not decoded for so long is not there any more. */
const ACTIVE_MS = 500

/** A client that has more sequences than any other, and what it may have of a run while others decode, too. */
export interface Excess {
  readonly client: string
  /** All others that decode. */
  readonly others: readonly string[]
  /** The most rows of a run that it shares with others. */
  readonly rows: number
  /** The most rows of a run that is its turn. */
  readonly ownRows: number
  /** What a run takes, in milliseconds, and each of its rows beside that. */
  readonly runMs: number
  readonly rowMs: number
}

/**
 * How many rows a decode run may have. Rows share a run, so the more one client has, the longer all others wait for
 * each of their tokens, wherever a row costs time; where it costs none, as on a GPU that is not full, all go.
 * The rows that the busiest client has beyond the next one's are in excess: of them only as many are taken as make the
 * run a little longer.
 */
export class RowLimit {
  readonly #active = new Map<SequenceId, { readonly client: string; readonly at: number }>()
  readonly #runTime: RunTime

  constructor(runTime: RunTime) {
    this.#runTime = runTime
  }

  /** A decode step of a sequence waits, or was computed. */
  noteActive(sequence: SequenceId, client: string, now: number): void {
    this.#active.set(sequence, { client, at: now })
  }

  forget(sequence: SequenceId): void {
    this.#active.delete(sequence)
  }

  /** Who has more than all others; undefined where nobody has, or where rows cost nothing. */
  excess(now: number): Excess | undefined {
    const perClient = new Map<string, number>()
    for (const [sequence, { client, at }] of this.#active) {
      if (now - at > ACTIVE_MS) this.#active.delete(sequence)
      else perClient.set(client, (perClient.get(client) ?? 0) + 1)
    }
    const [[client, most] = ['', 0], [, next] = ['', 0], ...less] = [...perClient].toSorted((a, b) => b[1] - a[1])
    const { rowMs, runMs } = this.#runTime
    if (next === 0 || most === next || rowMs === 0) return undefined
    const slightlyMore = (rows: number): number => rows + Math.floor(SLACK * (runMs / rowMs + rows))
    return {
      client,
      others: [...perClient.keys()].filter((other) => other !== client),
      rows: slightlyMore(less.reduce((sum, [, count]) => sum + count, 2 * next)),
      ownRows: slightlyMore(next),
      runMs,
      rowMs,
    }
  }
}
