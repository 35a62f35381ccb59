import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { PageFiles } from '../../src/api/pages/page-files.ts'
import { ROOT, goldenContinuation, readJson, startProgram, until } from '../cli/kit.ts'

const exec = promisify(execFile)
const PARTS = [
  'bin',
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

/** Reads every file of the web pages, and says how many there are. */
const PAGES = `
const { PageFiles } = await import(process.argv[1])
const files = new PageFiles()
for (const path of files.paths) if ((await files.get(path)).body.length === 0) throw new Error(path)
const html = (await files.get('/')).body.toString()
for (const [, target] of html.matchAll(/(?:src|href)="[.]([^"]+)"/g)) if (!files.paths.includes(target)) throw new Error(target)
if (/^export/m.test((await files.get('/pages/early.js')).body)) throw new Error('early.js is no plain script')
process.stdout.write(String(files.paths.length))
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

describe('the packed package', () => {
  let temp: string
  let consumer: string
  let installed: string

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
    const { dependencies } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>
    }
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
    const modules = names.filter((name) => name.endsWith('.js'))
    for (const name of modules) assert.ok(names.includes(name.replace(/\.js$/, '.d.ts')), `${name} has no types`)
    let started = 0
    for (const name of modules) {
      const text = await readFile(join(installed, name), 'utf8')
      const workers = matches(String.raw`(?:startWorker|moduleUrl)\(\s*import\.meta\.url,\s*'([^']+)'`, text)
      for (const worker of workers)
        assert.ok(names.includes(join(dirname(name), `${worker}.js`)), `${name} starts ${worker}`)
      started += workers.length
    }
    assert.ok(started > 0)
  })

  test('needs only what it declares', async () => {
    const { dependencies } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>
    }
    const modules = (await readdir(join(installed, 'dist'), { recursive: true })).filter((name) => name.endsWith('.js'))
    const used = new Set<string>()
    for (const name of modules) {
      const text = await readFile(join(installed, 'dist', name), 'utf8')
      const bare = matches(String.raw`(?:\bfrom |\bimport |\bimport\()'([^.'][^']*)'`, text)
      for (const target of bare.filter((target) => !target.startsWith('node:'))) {
        used.add(
          target
            .split('/')
            .slice(0, target.startsWith('@') ? 2 : 1)
            .join('/'),
        )
      }
    }
    assert.ok(used.has('libp2p') && used.has('koffi'))
    assert.deepEqual(
      [...used].filter((name) => !Object.hasOwn(dependencies, name)),
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
        ...bootstrap.flatMap((address) => ['--bootstrap', address]),
      ]
      const { out, ended } = startProgram(t, process.execPath, args, { cwd: temp })
      const ready = await Promise.race([
        until(`server ${blocks}`, () => readJson<{ multiaddrs: string[] }>(file), 60_000),
        ended.then(() => assert.fail(`server ${blocks} ended: ${out.stderr}`)),
      ])
      bootstrap.push(ready.multiaddrs[0]!)
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

  test('has the web pages, and finds the libraries that they load', async () => {
    const module = join(installed, 'dist', 'api', 'pages', 'page-files.js')
    const { stdout } = await exec(process.execPath, ['--input-type=module', '--eval', PAGES, module], { cwd: consumer })
    assert.equal(Number(stdout), new PageFiles().paths.length)
  })

  test('is taken by a CommonJS program as well', async () => {
    const program = `const { serve, UsageError } = require('petals-node'); const client = require('petals-node/client')
      process.stdout.write([typeof serve, client.UsageError === UsageError, typeof client.Tokenizer.load].join())`
    const { stdout } = await exec(process.execPath, ['--input-type=commonjs', '--eval', program], { cwd: consumer })
    assert.equal(stdout, 'function,true,function')
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
