import { setTimeout as sleep } from 'node:timers/promises'
import type { Cleanup } from '../process/cleanup.ts'
import { changesBetween } from './changes.ts'
import { renderFrame } from './frame.ts'
import type { ModelStatus } from './model-status.ts'
import { Screen } from './screen.ts'
import type { SwarmView } from './swarm-view.ts'

/** Gossip tells of changes at once; this finds servers that vanished without a word. */
const REFRESH_MS = 5000

/** Ages go on counting. */
const REDRAW_MS = 1000

/** Changes within this time are drawn together. */
const SETTLE_MS = 100

export interface WatchOptions {
  readonly json: boolean
  /** Ends the watch. */
  readonly signal: AbortSignal
  readonly cleanup: Cleanup
}

/**
 * Shows a swarm and what changes in it until the signal: on a terminal as a screen, elsewhere a line for each change.
 */
export async function watchSwarm(view: SwarmView, { json, signal, cleanup }: WatchOptions): Promise<void> {
  const leave = new AbortController()
  const ended = AbortSignal.any([signal, leave.signal])
  const show = process.stdout.isTTY && !json ? drawer(view, cleanup, () => leave.abort()) : writer(view, json)
  let timer: NodeJS.Timeout | undefined
  const soon = (): void => {
    timer ??= setTimeout(() => {
      timer = undefined
      show()
    }, SETTLE_MS)
  }
  cleanup.add(() => clearTimeout(timer))
  await view.follow(soon, cleanup)
  const ticks = setInterval(show, REDRAW_MS)
  cleanup.add(() => clearInterval(ticks))
  show()
  while (!ended.aborted) {
    await sleep(REFRESH_MS, undefined, { signal: ended }).catch(() => undefined)
    // A swarm whose bootstrap peers are all gone goes on; what is known of it is shown.
    if (!ended.aborted) await view.refresh().catch(() => undefined)
  }
}

function drawer(view: SwarmView, cleanup: Cleanup, onLeave: () => void): () => void {
  const draw = (): void =>
    screen.draw((columns, rows) => renderFrame(view.models(), { columns, rows, now: new Date() }))
  const screen = new Screen({ onResize: () => draw(), onLeave })
  cleanup.add(() => screen.close())
  return draw
}

/** Writes what is new: with `json` all models in one line. */
function writer(view: SwarmView, json: boolean): () => void {
  let before: readonly ModelStatus[] = []
  return () => {
    const models = view.models()
    const changes = changesBetween(before, models)
    before = models
    if (changes.length === 0) return
    const time = new Date().toISOString()
    process.stdout.write(
      json ? `${JSON.stringify({ time, models })}\n` : changes.map((change) => `${time} ${change}\n`).join(''),
    )
  }
}
