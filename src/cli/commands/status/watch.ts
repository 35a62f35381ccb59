import { setTimeout as sleep } from 'node:timers/promises'
import type { Cleanup } from '../../process/cleanup.ts'
import { changesBetween } from './changes.ts'
import { renderFrame } from './frame.ts'
import type { ModelStatus } from '../../../swarm/status/model-status.ts'
import { Screen } from './screen.ts'
import type { SwarmView } from './swarm-view.ts'

/**
 * How often servers are asked for a sign of life. Gossip reports changes at once; this finds servers that vanished
 * without a word.
 */
const REFRESH_MS = 5000

/** How often the screen is drawn without changes: it shows ages, which grow. */
const REDRAW_MS = 1000

/** Changes within this time are drawn together. */
const SETTLE_MS = 100

/**
 * The longest time without a line of JSON: round trips and queues move all the time, and a reader that is gone is
 * noticed only when something is written.
 */
const MAX_SILENCE_MS = 5000

/** How changes are shown. */
export interface WatchOptions {
  readonly json: boolean
  /** Ends the watch. */
  readonly signal: AbortSignal
  readonly cleanup: Cleanup
}

/**
 * Shows a swarm and its changes until the signal is aborted: on a terminal as a screen, elsewhere as a line for each
 * change.
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
    // A swarm works on without its bootstrap peers, so what is known is shown even if none answers.
    if (!ended.aborted) await view.refresh().catch(() => undefined)
  }
}

function drawer(view: SwarmView, cleanup: Cleanup, onLeave: () => void): () => void {
  const draw = (): void =>
    screen.draw((columns, rows) => renderFrame(view.models(), { columns, rows, now: new Date() }, view.clock))
  const screen = new Screen({ onResize: () => draw(), onLeave })
  cleanup.add(() => screen.close())
  return draw
}

/** Returns the function that writes what is new; with `json`, the status of all models in one line. */
function writer(view: SwarmView, json: boolean): () => void {
  let before: readonly ModelStatus[] = []
  let wroteAt = -Infinity
  return () => {
    const models = view.models()
    const changes = changesBetween(before, models)
    before = models
    const isDue = json && performance.now() - wroteAt >= MAX_SILENCE_MS
    if (changes.length === 0 && !isDue) return
    wroteAt = performance.now()
    const time = new Date().toISOString()
    process.stdout.write(
      json
        ? `${JSON.stringify({ time, models, clock: view.clock })}\n`
        : changes.map((change) => `${time} ${change}\n`).join(''),
    )
  }
}
