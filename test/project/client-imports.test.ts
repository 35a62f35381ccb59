import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const SRC = new URL('../../src/', import.meta.url)

/** Packages that only servers, the command line and the native runtime need. */
const FOREIGN = [
  'koffi',
  'onnxruntime-node',
  'yargs',
  'prom-client',
  'pino-pretty',
  '@libp2p/prometheus-metrics',
  '@opentelemetry',
  'yaml',
]

/** Everything that a process has loaded once it has imported `entry` and run `then`, with native libraries. */
function loadedBy(entry: string, then = ''): string[] {
  const script = `
    import { registerHooks } from 'node:module'
    const urls = []
    registerHooks({ load(url, context, next) { urls.push(url); return next(url, context) } })
    const client = await import(${JSON.stringify(new URL(entry, SRC).href)})
    ${then}
    const shared = process.report.getReport().sharedObjects
    process.stdout.write(JSON.stringify([...urls, ...shared]), () => process.exit())`
  return JSON.parse(
    execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', maxBuffer: 1 << 26 }),
  ) as string[]
}

function ownFloors(urls: readonly string[]): string[] {
  return urls.filter((url) => url.startsWith(SRC.href)).map((url) => url.slice(SRC.href.length))
}

function foreign(urls: readonly string[]): string[] {
  return urls.filter(
    (url) => FOREIGN.some((name) => url.includes(`/node_modules/${name}/`)) || /koffi|onnxruntime/.test(url),
  )
}

test("the client's entry loads no server, no command line, no span and no native runtime", () => {
  const urls = loadedBy('client/index.ts')
  const own = ownFloors(urls)
  assert.ok(own.includes('client/model/model.ts') && own.length > 50, 'the hook saw what was loaded')
  assert.deepEqual(
    own.filter((file) => /^(server|api|cli|runtime)\//.test(file)),
    [],
  )
  assert.deepEqual(
    own.filter((file) => /^engine\/(?!session\/limits)/.test(file)),
    [],
  )
  assert.deepEqual(foreign(urls), [])
})

test('a config is read without the native runtime; both ends of a model load it, and no engine for spans', () => {
  const demo = JSON.stringify(fileURLToPath(new URL('../models/demo', SRC)))
  assert.deepEqual(
    foreign(loadedBy('client/index.ts', `await client.AutoDistributedConfig.fromPretrained(${demo})`)),
    [],
  )
  const loading =
    'const bootstrap = ["/ip4/127.0.0.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"];' +
    `await client.AutoDistributedModel.fromPretrained(${demo}, { bootstrap }).catch(() => 0)`
  const urls = loadedBy('client/index.ts', loading)
  assert.ok(foreign(urls).length > 0)
  assert.deepEqual(
    ownFloors(urls).filter((file) => /^(server|api|cli)\/|engine\/engine\.ts/.test(file)),
    [],
  )
})

test('OpenTelemetry is loaded where its endpoint is set, and nowhere else', () => {
  const [unset, set] = ['', 'http://127.0.0.1:1'].map((endpoint) => {
    const setting = `process.env.OTEL_EXPORTER_OTLP_ENDPOINT = ${JSON.stringify(endpoint)};`
    const opening = 'await client.openTracing({ debug() {}, warn() {} }, { add() {} })'
    return loadedBy('cli/process/tracing.ts', setting + opening).filter((url) => url.includes('/@opentelemetry/'))
  })
  assert.deepEqual(unset, [])
  assert.ok(set!.length > 0)
})

test("the package's entry adds the server, and still neither command line nor native code before it is used", () => {
  const urls = loadedBy('index.ts')
  assert.ok(ownFloors(urls).includes('server/serve.ts'))
  assert.deepEqual(
    ownFloors(urls).filter((file) => /^(api\/(?!metrics\/(?:client|read)-metrics)|cli\/)/.test(file)),
    [],
  )
  assert.deepEqual(
    urls.filter((url) => /libonnxruntime/.test(url)),
    [],
  )
})
