import { requireSwarm } from '../../join/addresses.ts'
import { Cleanup } from '../../process/cleanup.ts'
import { EXIT_CODES } from '../../process/exit-codes.ts'
import type { CommandContext } from '../command.ts'
import { orAborted } from '../../../base/abort.ts'
import type { ClockVerdict } from '../../../swarm/node/clock-votes.ts'
import type { StatusValues } from './options.ts'
import type { ModelStatus } from '../../../swarm/status/model-status.ts'
import { renderStatus } from './render.ts'
import { SwarmView } from './swarm-view.ts'
import { watchSwarm } from './watch.ts'

/**
 * Asks the given peers and prints what they know; with --watch, keeps showing what changes. With --check the exit code
 * tells whether all is served.
 */
export async function runStatus(values: StatusValues, { shutdown: { signal } }: CommandContext): Promise<void> {
  requireSwarm(values)
  const cleanup = new Cleanup()
  let models: ModelStatus[]
  let clock: ClockVerdict | undefined
  try {
    const view = await orAborted(SwarmView.open(values, cleanup), signal)
    await orAborted(view.refresh(), signal)
    if (values.watch) return await watchSwarm(view, { json: values.json, signal, cleanup })
    models = view.models()
    clock = view.clock
  } finally {
    await cleanup.run()
  }
  process.stdout.write(
    values.json ? `${JSON.stringify({ models, clock }, undefined, 2)}\n` : renderStatus(models, Date.now(), clock),
  )
  const isWhole = models.length > 0 && models.every(({ missing }) => missing.length === 0)
  if (values.check && !isWhole) process.exitCode = EXIT_CODES.unavailable
}
