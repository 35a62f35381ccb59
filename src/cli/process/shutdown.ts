import { EXIT_CODES, InterruptedError } from './exit-codes.ts'

const SIGNALS = { SIGINT: EXIT_CODES.interrupted, SIGTERM: EXIT_CODES.terminated, SIGHUP: EXIT_CODES.hangup } as const

/** A process whose parent is gone has this long to tidy up. */
const ORPHAN_GRACE_MS = 3000

/** One Ctrl-C in a terminal goes to npm, the launcher and the program alike, and the first two pass it on. */
const COPIES_WITHIN_MS = 250

/** How a process is asked to end. */
export interface Shutdown {
  /** Aborted, with an `InterruptedError`, by the first SIGINT, SIGTERM or SIGHUP, and when `orphaned` is. */
  readonly signal: AbortSignal
  /** Aborted when the process that started this one over an IPC channel is gone: nobody is left to wait for. */
  readonly orphaned: AbortSignal
  /**
   * Has Ctrl-C call `listener` first, which gives whether it has dealt with it, so that nothing ends; until the
   * returned function is called.
   */
  onInterrupt(listener: () => boolean): () => void
}

/** Watches from now on. A second signal exits at once. Call before anything is opened. */
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
  // The listener alone would keep a finished command alive.
  process.channel?.unref()
  const onInterrupt = (listener: () => boolean) => {
    dealWith = listener
    return () => {
      dealWith = undefined
    }
  }
  return { signal: asked.signal, orphaned: orphaned.signal, onInterrupt }
}
