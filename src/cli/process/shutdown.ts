import { EXIT_CODES, InterruptedError } from './exit-codes.ts'

const SIGNALS = { SIGINT: EXIT_CODES.interrupted, SIGTERM: EXIT_CODES.terminated, SIGHUP: EXIT_CODES.hangup } as const

/** How long a process whose parent is gone may take to clean up. */
const ORPHAN_GRACE_MS = 3000

/**
 * Signals within this time count as one: a Ctrl-C in a terminal reaches npm, the launcher and the program, and the
 * first two pass it on.
 */
const COPIES_WITHIN_MS = 250

/** How a process is asked to end. */
export interface Shutdown {
  /** Aborted with an `InterruptedError` by the first SIGINT, SIGTERM or SIGHUP, and together with `orphaned`. */
  readonly signal: AbortSignal
  /** Aborted when the process that started this one over an IPC channel is gone. */
  readonly orphaned: AbortSignal
  /**
   * Calls `listener` at each Ctrl-C; if it returns true, the Ctrl-C has been handled and nothing ends. Returns the
   * function that ends this.
   */
  onInterrupt(listener: () => boolean): () => void
}

/** Watches for signals from now on; a second one exits at once. Call it before anything is opened. */
export function watchShutdown(): Shutdown {
  const asked = new AbortController()
  const orphaned = new AbortController()
  let askedAt = -Infinity
  let dealWith: (() => boolean) | undefined
  for (const [signal, exitCode] of Object.entries(SIGNALS)) {
    process.on(signal, () => {
      const now = performance.now()
      if (now - askedAt <= COPIES_WITHIN_MS) return
      if (asked.signal.aborted) process.exit(exitCode)
      askedAt = now
      if (signal === 'SIGINT' && dealWith?.() === true) return
      asked.abort(new InterruptedError(exitCode))
    })
  }
  const onOrphaned = () => {
    setTimeout(() => process.exit(EXIT_CODES.terminated), ORPHAN_GRACE_MS).unref()
    asked.abort(new InterruptedError(EXIT_CODES.terminated))
    orphaned.abort()
  }
  // The parent may have died before this line; `connected` is undefined in a process that never had a channel.
  if ((process.connected as boolean | undefined) === false) onOrphaned()
  process.once('disconnect', onOrphaned)
  // The listener above would keep a finished command alive.
  process.channel?.unref()
  const onInterrupt = (listener: () => boolean) => {
    dealWith = listener
    return () => {
      dealWith = undefined
    }
  }
  return { signal: asked.signal, orphaned: orphaned.signal, onInterrupt }
}
