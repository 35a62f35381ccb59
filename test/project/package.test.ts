import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { PageFiles } from '../../src/api/pages/page-files.ts'
import { ROOT, goldenContinuation, readJson, startProgram, until } from '../cli/kit.ts'

const exec = promisify(execFile)
const PARTS = [
  'bin',
  'build',
  'config',
  'docs',
  'models',
  'src',
  'CHANGELOG.md',
  'README.md',
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
]

const PROGRAM = `
import { AutoDistributedModelForCausalLM } from 'petals-node'
const [folder, ...bootstrap] = process.argv.slice(2)
const model = await AutoDistributedModelForCausalLM.fromPretrained(folder, { bootstrap })
for await (const { text } of model.stream('The state', { maxNewTokens: 8 })) process.stdout.write(text)
await model.close()
`

const TYPED = `
import { AutoDistributedModel, DistributedLlamaForCausalLM } from 'petals-node/client'
import type { GenerationResult, Tensor } from 'petals-node/client'
import { createSwarmNode, loadIdentity, openModel, serve } from 'petals-node'
export async function write(folder: string): Promise<GenerationResult> {
  await using model = await DistributedLlamaForCausalLM.fromPretrained(folder, { bootstrap: ['/ip4/127.0.0.1/tcp/1'] })
  await using session = model.layers.slice(2, -1).inferenceSession({ maxLength: 8 })
  session.position = 0
  return model.generate('x', { maxNewTokens: 3 })
}
export async function hidden(folder: string): Promise<Tensor> {
  const model = await AutoDistributedModel.fromPretrained(folder, { bootstrap: [] })
  return model.forward([[1, 2, 3]])
}
export async function wrong(folder: string) {
  const model = await DistributedLlamaForCausalLM.fromPretrained(folder, {})
  // @ts-expect-error a number is no prompt
  return model.generate(3)
}
export const parts = { createSwarmNode, loadIdentity, openModel, serve }
`

function matches(pattern: string, text: string): string[] {
  return [...text.matchAll(new RegExp(pattern, 'g'))].map(([, name]) => name!)
}

interface Ready {
  readonly multiaddrs: readonly string[]
  readonly httpPort: number
}

interface Manifest {
  readonly dependencies: Record<string, string>
  readonly exports: Record<string, Record<string, string>>
}

/** The packages, and Node's own modules, that files of a folder import, without those that only comments name. */
async function packagesNamed(folder: string, extension: string): Promise<string[]> {
  const quote = extension === '.js' ? '"' : '[\'"]'
  const files = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith(extension))
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')))
  const named = matches(
    String.raw`(?:\bfrom |\bimport |\bimport\(|\brequire\()${quote}([^.'"\s][^'"\s]*)${quote}`,
    texts.join('\n'),
  )
  return [
    ...new Set(
      named.map((name) =>
        name
          .split('/')
          .slice(0, name.startsWith('@') ? 2 : 1)
          .join('/'),
      ),
    ),
  ]
}

/** The names that a file of a build exports. */
function exportsOf(text: string): string[] {
  const listed = matches(String.raw`\nexport \{([^}]*)\}`, text).flatMap((names) => names.split(','))
  const names = listed.map((part) => part.trim().split(' as ').at(-1)!)
  return text.includes('\nexport default ') ? [...names, 'default'] : names
}

describe('the packed package', () => {
  let temp: string
  let consumer: string
  let installed: string
  let manifest: Manifest

  /** Packs a copy, so that the checkout stays as it is, and installs it by hand: tests have no network. */
  before(async () => {
    temp = await mkdtemp(join(tmpdir(), 'petals-package-'))
    const staged = join(temp, 'staged')
    for (const part of PARTS) await cp(join(ROOT, part), join(staged, part), { recursive: true })
    await symlink(join(ROOT, 'node_modules'), join(staged, 'node_modules'))
    const env = {
      ...process.env,
      npm_config_offline: 'true',
      npm_config_update_notifier: 'false',
      npm_config_cache: join(temp, 'npm'),
    }
    await exec('npm', ['pack', '--pack-destination', temp], { cwd: staged, env })
    const tarball = (await readdir(temp)).find((name) => name.endsWith('.tgz'))!

    consumer = join(temp, 'consumer')
    installed = join(consumer, 'node_modules', 'petals-node')
    await mkdir(installed, { recursive: true })
    await exec('tar', ['-xzf', join(temp, tarball), '-C', installed, '--strip-components=1'])
    manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as Manifest
    const { dependencies } = manifest
    for (const name of [...Object.keys(dependencies), '@types/node', 'undici-types']) {
      await mkdir(dirname(join(consumer, 'node_modules', name)), { recursive: true })
      await symlink(join(ROOT, 'node_modules', name), join(consumer, 'node_modules', name))
    }
    await writeFile(join(consumer, 'package.json'), '{ "type": "module", "private": true }')
  })
  after(() => rm(temp, { recursive: true, force: true }))

  test('holds plain JavaScript and types, and neither sources nor tests', async () => {
    const files = await readdir(installed, { recursive: true, withFileTypes: true })
    const names = files
      .filter((file) => file.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(installed.length + 1))
    assert.deepEqual(
      names.filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts')),
      [],
    )
    assert.deepEqual([...new Set(names.map((name) => name.split('/')[0]))].toSorted(), [
      'CHANGELOG.md',
      'README.md',
      'bin',
      'config',
      'dist',
      'docs',
      'models',
      'package.json',
    ])
    for (const file of ['.', './client'].flatMap((entry) => Object.values(manifest.exports[entry]!)))
      assert.ok(names.includes(join(file)), `there is no ${file}`)
    const modules = names.filter((name) => name.endsWith('.js'))
    const started = new Set<string>()
    for (const name of modules) {
      const text = await readFile(join(installed, name), 'utf8')
      for (const worker of matches(String.raw`(?:startWorker|moduleUrl)\(\s*import\.meta\.url,\s*"([^"]+)"`, text))
        started.add(worker)
    }
    assert.ok(started.has('engine-worker') && started.has('tokenizer-worker'))
    for (const worker of started) assert.ok(names.includes(`dist/${worker}.js`), `there is no dist/${worker}.js`)
  })

  test('finds in what it loads on demand what it looks for there', async () => {
    const dist = join(installed, 'dist')
    const files = (await readdir(dist)).filter((name) => name.endsWith('.js'))
    let found = 0
    for (const file of files) {
      const text = await readFile(join(dist, file), 'utf8')
      for (const [, names, target] of text.matchAll(/\{([^{}]*)\} = await import\("\.\/([^"]+)"\)/g)) {
        const exported = exportsOf(await readFile(join(dist, target!), 'utf8'))
        for (const name of names!.split(',').map((part) => part.split(':')[0]!.trim()))
          assert.ok(exported.includes(name), `${file} looks for ${name} in ${target}`)
        found++
      }
    }
    assert.ok(found > 0)
  })

  test('loads native packages and no others, and has their terms beside the code of those that it holds', async () => {
    const dist = join(installed, 'dist')
    const loaded = (await packagesNamed(dist, '.js')).filter((name) => !isBuiltin(name))
    assert.deepEqual(loaded, ['koffi'])
    const terms = await readFile(join(dist, 'third-party-licenses.txt'), 'utf8')
    for (const name of ['libp2p', '@libp2p/kad-dht', 'yargs', 'pino'])
      assert.match(terms, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+ \\(.+\\)$`, 'm'))
  })

  test('uses nothing that Node 22 lacks and the types of this project have', async () => {
    // All else is held by the `lib` of tsconfig.json.
    const files = (await readdir(join(ROOT, 'src'), { recursive: true })).filter((file) => file.endsWith('.ts'))
    assert.ok(files.length > 100)
    for (const file of files)
      assert.doesNotMatch(
        await readFile(join(ROOT, 'src', file), 'utf8'),
        /new (Async)?DisposableStack|URLPattern/,
        file,
      )
  })

  test('declares all that its types name', async () => {
    const named = await packagesNamed(join(installed, 'dist', 'types'), '.d.ts')
    assert.ok(named.includes('@libp2p/interface'))
    assert.deepEqual(
      named.filter((name) => !isBuiltin(name) && !Object.hasOwn(manifest.dependencies, name)),
      [],
    )
  })

  test("a program of ten lines generates through servers that the package's command starts", async (t) => {
    await writeFile(join(consumer, 'main.mjs'), PROGRAM)
    const bin = join(installed, 'bin', 'petals-node')
    const bootstrap: string[] = []
    for (const blocks of ['0:3', '3:8']) {
      const file = join(temp, `ready-${blocks.replace(':', '-')}`)
      const args = [
        bin,
        'serve',
        '--blocks',
        blocks,
        '--listen',
        '/ip4/127.0.0.1/tcp/0',
        '--ready-file',
        file,
        '--threads',
        '1',
        '--attn-cache-tokens',
        '2048',
        '--api-port',
        '0',
        ...bootstrap.flatMap((address) => ['--bootstrap', address]),
      ]
      const { out, ended } = startProgram(t, process.execPath, args, { cwd: temp })
      const ready = await Promise.race([
        until(`server ${blocks}`, () => readJson<Ready>(file), 60_000),
        ended.then(() => assert.fail(`server ${blocks} ended: ${out.stderr}`)),
      ])
      bootstrap.push(ready.multiaddrs[0]!)
      for (const path of ['/', '/swarm', '/pages/chat/main.js', '/pages/vendor/preact.js']) {
        const response = await fetch(`http://127.0.0.1:${ready.httpPort}${path}`)
        assert.equal(response.status, 200, path)
        await response.text()
      }
    }
    const model = join(installed, 'models', 'demo')
    const { stdout } = await exec(process.execPath, ['main.mjs', model, bootstrap[0]!], {
      cwd: consumer,
      timeout: 180_000,
    })
    assert.ok(stdout.length > 0)
    const { stdout: golden } = await exec(process.execPath, [bin, 'demo', '--once'], { cwd: temp, timeout: 180_000 })
    assert.equal(golden, await goldenContinuation())
  })

  test('has the web pages, and all that they load', async () => {
    const sources = new PageFiles()
    for (const path of sources.paths.filter((each) => each.startsWith('/pages/')))
      assert.deepEqual(await readFile(join(installed, 'dist', path)), (await sources.get(path))!.body, path)
    const terms = await readFile(join(installed, 'dist', 'third-party-licenses.txt'), 'utf8')
    for (const name of ['preact', 'htm', 'marked', 'dompurify', '@highlightjs/cdn-assets'])
      assert.match(terms, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+ \\(.+\\)$`, 'm'))
  })

  test('is taken by a CommonJS program as well', async () => {
    const program = `const { serve, UsageError } = require('petals-node'); const client = require('petals-node/client')
      process.stdout.write([typeof serve, client.UsageError === UsageError, typeof client.Tokenizer.load].join())`
    const { stdout } = await exec(process.execPath, ['--input-type=commonjs', '--eval', program], { cwd: consumer })
    assert.equal(stdout, 'function,true,function')
  })

  test("its client's entry loads nothing that only servers, the command line and native code need", async () => {
    // Files of a build say in comments which sources and packages they hold.
    const program = `
      import { registerHooks } from 'node:module'
      const held = new Set()
      registerHooks({ load(url, context, next) {
        const loaded = next(url, context)
        const named = String(loaded.source).matchAll(/^\\/\\/ .*?((?:src|node_modules)\\/.*)/gm)
        for (const [, file] of named) held.add(file)
        return loaded
      } })
      await import('petals-node/client')
      process.stdout.write(JSON.stringify([...held]))`
    const { stdout } = await exec(process.execPath, ['--input-type=module', '--eval', program], {
      cwd: consumer,
      maxBuffer: 1 << 24,
    })
    const held = JSON.parse(stdout) as string[]
    assert.ok(
      held.includes('src/client/model/model.ts') && held.some((file) => file.startsWith('node_modules/libp2p/')),
    )
    const servers = /^src\/((server|api|cli|runtime)\/|engine\/(?!session\/limits))/
    const packages = /^node_modules\/(koffi|yargs|prom-client|yaml)\//
    assert.deepEqual(
      held.filter((file) => servers.test(file) || packages.test(file)),
      [],
    )
  })

  test('its types resolve in a strict program', async () => {
    await writeFile(join(consumer, 'typed.ts'), TYPED)
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
    const options = [
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--lib',
      'es2024,esnext',
      '--types',
      'node',
      '--skipLibCheck',
    ]
    await exec(process.execPath, [tsc, ...options, 'typed.ts'], { cwd: consumer }).catch((error: { stdout: string }) =>
      assert.fail(error.stdout),
    )
  })
})
