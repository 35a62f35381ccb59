import { createServer } from 'node:net'
import { errorMessage } from '../../../../base/errors.ts'
import { type Finding, note, ok, problem } from '../finding.ts'

/** Checks whether the metrics port can be bound. */
export async function checkMetricsPort(host: string, port: number | undefined): Promise<Finding> {
  if (port === undefined) return note('Metrics', 'no --metrics-port given: Prometheus has nothing to scrape')
  const { promise, resolve } = Promise.withResolvers<Finding>()
  const server = createServer()
  server.once('error', (error) =>
    resolve(
      problem(
        'Metrics',
        `${host}:${port}: ${errorMessage(error)}`,
        'choose another --metrics-port, or 0 for any free one',
      ),
    ),
  )
  server.listen({ host, port }, () => resolve(ok('Metrics', `${host}:${port} can be bound`)))
  try {
    return await promise
  } finally {
    server.close()
  }
}
