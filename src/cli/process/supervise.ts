import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

/** What happens to a supervised process. */
export type SuperviseEvent =
  | { readonly type: 'started'; readonly pid: number }
  | {
      readonly type: 'crashed'
      readonly exitCode: number | null
      readonly signal: NodeJS.Signals | null
      readonly restartInMs: number
    }

/** What to supervise, and how. */
export interface SuperviseOptions {
  /** The program and its arguments, without `--supervise`. */
  readonly command: readonly [string, ...string[]]
  readonly env?: NodeJS.ProcessEnv | undefined
  /** Exit codes after which the process is not restarted: a clean end, wrong usage, a requested stop. */
  readonly finalExitCodes: readonly number[]
  readonly onEvent?: ((event: SuperviseEvent) => void) | undefined
  readonly firstPauseMs?: number | undefined
  readonly maxPauseMs?: number | undefined
}

/** Signals that are passed on to the child, which then drains; when it ends, this process ends, too. */
const PASSED_ON = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const SIGNAL_EXIT_CODE = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

const FIRST_PAUSE_MS = 1000
const MAX_PAUSE_MS = 60_000

/** A child that lived this long was well: the next pause is the shortest again. */
const HEALTHY_MS = 60_000

/**
 * Runs a program as a child process and restarts it after a crash, with growing pauses. Resolves to the exit code to
 * end with: the child's, once it is final or a stop was requested. The child writes to this process's output, and has
 * an IPC channel by which it notices if this process is killed. Rejects if the program cannot be started at all.
 */
export async function superviseProcess(options: SuperviseOptions): Promise<number> {
  const { finalExitCodes, onEvent, firstPauseMs = FIRST_PAUSE_MS, maxPauseMs = MAX_PAUSE_MS } = options
  const stop = new AbortController()
  let child: ChildProcess | undefined
  let stopCode = 0
  const listeners = PASSED_ON.map(
    (signal) =>
      [
        signal,
        () => {
          stopCode = SIGNAL_EXIT_CODE[signal]
          child?.kill(signal)
          stop.abort()
        },
      ] as const,
  )
  for (const [signal, listener] of listeners) process.on(signal, listener)
  try {
    for (let pauseMs = firstPauseMs; ;) {
      const began = performance.now()
      child = start(options)
      const { exitCode, signal } = await ended(child, onEvent)
      child = undefined
      if (stop.signal.aborted || (exitCode !== null && finalExitCodes.includes(exitCode))) return exitCode ?? stopCode
      if (performance.now() - began > HEALTHY_MS) pauseMs = firstPauseMs
      onEvent?.({ type: 'crashed', exitCode, signal, restartInMs: pauseMs })
      await sleep(pauseMs, undefined, { signal: stop.signal }).catch(() => undefined)
      if (stop.signal.aborted) return stopCode
      pauseMs = Math.min(pauseMs * 2, maxPauseMs)
    }
  } finally {
    for (const [signal, listener] of listeners) process.off(signal, listener)
  }
}

function start({ command: [program, ...args], env = process.env }: SuperviseOptions): ChildProcess {
  return spawn(program, args, { env, stdio: ['inherit', 'inherit', 'inherit', 'ipc'] })
}

async function ended(
  child: ChildProcess,
  onEvent: SuperviseOptions['onEvent'],
): Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }> {
  // Rejects if the program cannot be started at all, which no restart would mend.
  const exited = once(child, 'exit')
  if (child.pid !== undefined) onEvent?.({ type: 'started', pid: child.pid })
  const [exitCode, signal] = (await exited) as [number | null, NodeJS.Signals | null]
  return { exitCode, signal }
}
