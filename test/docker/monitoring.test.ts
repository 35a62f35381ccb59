import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { startLocalSwarm } from '../../src/cli/process/local-swarm.ts'
import type { ReadyReport } from '../../src/cli/process/ready-file.ts'
import { BUNDLED_MODEL } from '../../src/cli/values/bundled-model.ts'
import { ROOT, readJson, start, startProgram, tempFolder, until } from '../cli/kit.ts'

const FILES = join(ROOT, 'docker')

/** Names that Prometheus has by itself. */
const ITS_OWN = new Set(['up'])

interface Board {
  readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[]
}

interface Alerts {
  readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[]
}

/** A query as Grafana sends it where everything is chosen. */
function concrete(expr: string): string {
  return expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$(?:instance|model)/g, '.*')
}

/** What Prometheus is asked by alerts and panels, by their names; a panel's variables stand for everything. */
async function queries(): Promise<Map<string, string>> {
  const { groups } = parse(await readFile(join(FILES, 'prometheus', 'alerts.yml'), 'utf8')) as Alerts
  const board = (await readJson<Board>(join(FILES, 'grafana', 'dashboards', 'petals-node.json')))!
  const alerts = groups.flatMap(({ rules }) => rules.map(({ alert, expr }) => [alert, expr] as const))
  const panels = board.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }, i) => [`${title}, query ${i + 1}`, expr] as const),
  )
  return new Map([...alerts, ...panels].map(([name, expr]) => [name, concrete(expr)]))
}

/** The metrics that an expression reads; of a histogram, its own name. */
function namesIn(expr: string): string[] {
  const names = expr.match(/\b(?:petals_|vllm:|http_|process_|nodejs_)[\w:]+|\bup\b/g) ?? []
  return names.map((name) => name.replace(/_(?:bucket|sum|count)$/, ''))
}

/** Three servers and an API that has answered once; gives the ports of their metrics. */
async function startSwarm(t: TestContext): Promise<{ servers: number[]; api: number }> {
  const swarm = await startLocalSwarm({
    model: BUNDLED_MODEL,
    spans: [
      [0, 3],
      [3, 6],
      [6, 8],
    ],
    bootstrap: false,
    threads: 1,
  })
  t.after(() => swarm.stop())
  const readyFile = join(await tempFolder(t), 'ready.json')
  start(t, ['api', '--port', '0', '--bootstrap', swarm.bootstrap, '--threads', '1', '--ready-file', readyFile])
  const { httpPort } = await until('the API answers', () => readJson<ReadyReport>(readyFile))
  const answer = await fetch(`http://127.0.0.1:${httpPort}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'demo', prompt: 'The whale', max_tokens: 8 }),
  })
  assert.equal(answer.status, 200, await answer.text())
  return { servers: swarm.servers.map(({ metricsPort }) => metricsPort!), api: httpPort! }
}

test('alerts and panels ask for metrics that exist, and Prometheus understands every one', async (t) => {
  const asked = await queries()
  const { servers, api } = await startSwarm(t)
  const pages = await Promise.all(
    [...servers, api].map(async (port) => (await fetch(`http://127.0.0.1:${port}/metrics`)).text()),
  )
  const existing = new Set(pages.flatMap((page) => [...page.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!)))
  for (const [what, expr] of asked) {
    const unknown = namesIn(expr).filter((name) => !existing.has(name) && !ITS_OWN.has(name))
    assert.deepEqual(unknown, [], `${what}: ${expr}`)
  }
  const isMissing = spawnSync('prometheus', ['--version']).status !== 0
  if (isMissing && process.env['TEST_REQUIRES_PROMETHEUS'] === undefined)
    return t.diagnostic('Prometheus is not installed (Debian: apt install prometheus): its own look was left out')
  await askPrometheus(t, asked, { servers, api })
})

function targets(ports: readonly number[]): string[] {
  return ports.map((port) => `127.0.0.1:${port}`)
}

/** Has a Prometheus scrape the swarm with this folder's configuration, and evaluates every query. */
async function askPrometheus(
  t: TestContext,
  asked: ReadonlyMap<string, string>,
  { servers, api }: { readonly servers: readonly number[]; readonly api: number },
): Promise<void> {
  const folder = await tempFolder(t)
  const config = parse(await readFile(join(FILES, 'prometheus', 'prometheus.yml'), 'utf8')) as {
    scrape_configs: { static_configs: { targets: string[]; labels: { role: string } }[] }[]
    rule_files: string[]
    global: Record<string, string>
  }
  config.global = { scrape_interval: '1s', evaluation_interval: '1s' }
  config.rule_files = [join(FILES, 'prometheus', 'alerts.yml')]
  config.scrape_configs[0]!.static_configs = [
    { targets: targets(servers), labels: { role: 'server' } },
    { targets: targets([api]), labels: { role: 'api' } },
  ]
  const file = join(folder, 'prometheus.yml')
  await writeFile(file, stringify(config))
  const checked = spawnSync('promtool', ['check', 'config', file], { encoding: 'utf8' })
  assert.equal(checked.status, 0, checked.stdout + checked.stderr)
  const { out } = startProgram(t, 'prometheus', [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    '--web.listen-address=127.0.0.1:0',
    '--log.level=info',
  ])
  const address = await until('Prometheus listens', () => /address=(127\.0\.0\.1:[1-9]\d*)/.exec(out.stderr)?.[1])
  const query = async (expr: string): Promise<{ status: string; error?: string; data?: { result: unknown[] } }> => {
    const parameters = new URLSearchParams({ query: expr })
    const answer = await fetch(`http://${address}/api/v1/query?${parameters}`)
    // It listens a while before it can answer.
    if (answer.status === 503) return { status: 'starting' }
    return (await answer.json()) as { status: string }
  }
  // Rates need two scrapes of each.
  const scraped = `count(count_over_time(up[5m]) >= 3)`
  await until('all are scraped', async () => {
    const { data } = await query(`${scraped} == ${servers.length + 1}`)
    return data !== undefined && data.result.length > 0
  })
  assert.deepEqual((await query('up == 0')).data?.result, [], 'all answer')
  for (const [what, expr] of asked) {
    const { status, error } = await query(expr)
    assert.equal(status, 'success', `${what}: ${error}`)
  }
  const computed = await query('sum(petals_tokens_computed_total) > 0')
  assert.equal(computed.data?.result.length, 1, 'figures arrive')
}
