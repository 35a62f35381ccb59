import type { Logger } from 'pino'
import { UsageError } from '../../../base/errors.ts'
import { superviseProcess } from '../../process/supervise.ts'
import { EXIT_CODES } from '../../process/exit-codes.ts'
import type { ServeValues } from './options.ts'

/** Exit codes after which a restart would not help or was not wanted. */
const FINAL = [EXIT_CODES.ok, EXIT_CODES.usage, EXIT_CODES.hangup, EXIT_CODES.interrupted, EXIT_CODES.terminated]

/** Serves in a child process that is restarted after a crash; ends with the child's exit code. */
export async function superviseServe(values: ServeValues, logger: Logger): Promise<void> {
  if (values.identity === undefined) {
    throw new UsageError(
      '--supervise: give --identity FILE too, so that a server that is started again is the same peer',
    )
  }
  const [program, ...args] = process.argv
  const own = args.filter((arg) => arg !== '--supervise')
  process.exitCode = await superviseProcess({
    // --no-supervise, because `supervise` may also be set in the environment or a config file.
    command: [program!, ...process.execArgv, ...own, '--no-supervise'],
    finalExitCodes: FINAL,
    onEvent: (event) => {
      if (event.type === 'crashed')
        logger.warn(
          { exitCode: event.exitCode, signal: event.signal },
          `the server crashed; it is started again in ${event.restartInMs / 1000} s`,
        )
      else logger.info({ serverPid: event.pid }, 'server started')
    },
  })
}
