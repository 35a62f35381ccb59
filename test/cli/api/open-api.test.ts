import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { createMetrics } from '../../../src/api/metrics/metrics.ts'
import { openApi } from '../../../src/cli/commands/api/open-api.ts'
import { Cleanup } from '../../../src/cli/process/cleanup.ts'

/** An address of no machine (RFC 5737): nothing can listen on it. */
const ELSEWHERE = '192.0.2.1'

/** What the log says of an API that is opened, or cannot be, on an address. */
async function logOf(t: TestContext, host: string, apiKey: readonly string[] = []): Promise<string> {
  const log: string[] = []
  const logger = pino({ level: 'warn' }, { write: (line: string) => void log.push(line) })
  const cleanup = new Cleanup()
  t.after(() => cleanup.run())
  const values = {
    apiKey: [...apiKey],
    apiKeyFile: undefined,
    allowedHosts: [],
    corsOrigins: [],
    parallelTexts: 1,
    maxWaiting: 1,
    template: 'model',
    promptCacheTokens: 0,
  }
  const at = { host, port: 0, options: { host: 'apiHost', port: 'apiPort' } }
  const opening = openApi(values, at, { registry: createMetrics(), logger, cleanup })
  if (host === ELSEWHERE) await assert.rejects(opening, { code: 'API_LISTEN', message: /--api-port, --api-host/ })
  else await opening
  return log.join('')
}

test('an API without keys on an address that others reach warns, with the options that cure it', async (t) => {
  const log = await logOf(t, ELSEWHERE)
  const { level, host, msg } = JSON.parse(log) as { level: number; host: string; msg: string }
  assert.deepEqual([level, host], [pino.levels.values['warn'], ELSEWHERE])
  for (const named of [`whoever reaches ${ELSEWHERE}`, '--api-key', '--api-key-file', '--api-host'])
    assert.ok(msg.includes(named), named)
})

test('with a key there is nothing to warn of, nor where only this machine can ask', async (t) => {
  assert.equal(await logOf(t, ELSEWHERE, ['sk-of-alice-0123']), '')
  for (const host of ['127.0.0.1', 'localhost']) assert.equal(await logOf(t, host), '', host)
})
