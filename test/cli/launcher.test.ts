import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cp, mkdir, rm, utimes, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { LAUNCHER, LOOPBACK, ROOT, marked, startProgram, tempFolder, until } from './kit.ts'

const oldNode = findOldNode()
const skip = oldNode === undefined ? 'no Node older than 22.19 on this machine' : false

/** What needs a newer Node says so in one sentence, with the cure. */
const tooOld = (version: string) =>
  new RegExp(`^petals-node: Node ${version} or newer is needed and this is v\\d+\\.\\d+\\.\\d+: .*npm install.*\\n$`)

/** A Node on the PATH, or in its usual places, that cannot run the program itself. */
function findOldNode(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/usr/local/bin']
  return folders
    .map((folder) => join(folder, 'node'))
    .find((file) => {
      try {
        const [major, minor] = execFileSync(file, ['-p', 'process.versions.node'], { encoding: 'utf8' })
          .split('.')
          .map(Number)
        return major! < 22 || (major === 22 && minor! < 19)
      } catch {
        return false
      }
    })
}

/** The launcher in a package or checkout of which nothing else is there but what is given. */
async function lonelyLauncher(t: TestContext, files: Record<string, string>): Promise<string> {
  const root = await tempFolder(t)
  await cp(join(LAUNCHER, '..'), join(root, 'bin'), { recursive: true })
  await cp(join(ROOT, 'build', 'current.cjs'), join(root, 'build', 'current.cjs'))
  for (const [file, text] of Object.entries(files)) {
    await mkdir(join(root, file, '..'), { recursive: true })
    await writeFile(join(root, file), text)
  }
  return join(root, 'bin', 'petals-node')
}

test('the launcher runs the program, whatever its exit code', async (t) => {
  const { ended, out } = startProgram(t, process.execPath, [LAUNCHER, 'serv'])
  assert.equal(await ended, 2)
  assert.match(out.stderr, /did you mean serve/)
})

test('an old Node hands over to the bundled one, with signals and exit codes', { skip }, async (t) => {
  const { child, ended, out } = startProgram(t, oldNode!, [LAUNCHER, 'bootstrap', ...LOOPBACK])
  await until('the address', () => out.stdout.includes('/p2p/'))
  child.kill('SIGTERM')
  assert.equal(await ended, 0)
  assert.match(out.stderr, /stopped/)
})

test(
  'what an old Node has started ends with it, and its IPC channel is passed on',
  { skip: skip || process.platform !== 'linux' },
  async (t) => {
    const { child, ended, mark } = startProgram(t, oldNode!, [LAUNCHER, 'bootstrap', ...LOOPBACK], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    const message = await new Promise<{ type: string }>((resolve) => {
      child.once('message', (sent) => resolve(sent as { type: string }))
    })
    assert.equal(message.type, 'ready')
    child.kill('SIGKILL')
    await ended
    await until('no process', async () => (await marked(mark)).length === 0)
  },
)

test(
  'an old Node without a bundled one says what to do: sources need a newer one than the built package',
  { skip },
  async (t) => {
    for (const [file, version] of [
      ['src/cli/main.ts', '24\\.0'],
      ['dist/main.js', '22\\.19'],
    ] as const) {
      const { ended, out } = startProgram(t, oldNode!, [await lonelyLauncher(t, { [file]: '' })])
      assert.equal(await ended, 1)
      assert.match(out.stderr, tooOld(version))
    }
  },
)

test('the built program runs where there are no sources', async (t) => {
  const launcher = await lonelyLauncher(t, { 'dist/main.js': 'process.stdout.write(process.argv[2])' })
  const { ended, out } = startProgram(t, process.execPath, [launcher, 'built'])
  assert.equal(await ended, 0)
  assert.equal(out.stdout, 'built')
})

test('a checkout runs its build as long as no source is another one, newer or older', async (t) => {
  const source = `process.stdout.write('sources')`
  const launcher = await lonelyLauncher(t, {
    'src/cli/main.ts': source,
    'src/other.ts': '',
    'dist/main.js': `process.stdout.write('built')`,
  })
  const root = join(launcher, '..', '..')
  const main = join(root, 'src', 'cli', 'main.ts')
  const runs = async () => {
    const { ended, out } = startProgram(t, process.execPath, [launcher])
    assert.equal(await ended, 0, out.stderr)
    return out.stdout
  }
  const { INPUTS, stampOf } = createRequire(import.meta.url)(join(ROOT, 'build', 'current.cjs')) as {
    INPUTS: string
    stampOf(root: string, file: string): unknown
  }
  const build = () => {
    const inputs = ['src/cli/main.ts', 'src/other.ts'].map((file) => [file, stampOf(root, file)])
    return writeFile(join(root, INPUTS), JSON.stringify(Object.fromEntries(inputs)))
  }
  assert.equal(await runs(), 'sources', 'nobody says what it was built of')
  await build()
  assert.equal(await runs(), 'built')
  await utimes(main, 1, 1)
  assert.equal(await runs(), 'sources', 'an older one')
  await build()
  await writeFile(main, `${source} `)
  assert.equal(await runs(), 'sources', 'a newer one')
  await build()
  assert.equal(await runs(), 'built')
  await rm(join(root, 'src', 'other.ts'))
  assert.equal(await runs(), 'sources', 'one that is gone')
})
