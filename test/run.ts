import { spawnSync } from 'node:child_process'
import { globSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isFast } from './fast.ts'
import { roomsOf, writeRooms } from './rooms.ts'

/**
 * Runs the tests: `npm test` all of them, `npm run test:fast` those without processes, threads and sockets, and
 * `npm test FILE...` some. The fast ones share one process, which loads what they import once, and so do the others of
 * each room (`rooms.ts`), two rooms at a time, since they wait a lot. Processes and threads that they start run the
 * build, which is made here where it is not current, or with `--sources` the sources.
 */
const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** Compiled code is kept for all processes and threads that tests start, and from one run to the next. */
const COMPILED = fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url))

const ROOMS = fileURLToPath(new URL('../node_modules/.cache/test-rooms', import.meta.url))

const args = process.argv.slice(2)
const onlyFast = args.includes('--fast')
const runSources = args.includes('--sources')
const options = args.filter((arg) => arg.startsWith('--') && arg !== '--fast' && arg !== '--sources')
const named = args.filter((arg) => !arg.startsWith('--'))
const files = named.length > 0 ? named : globSync('test/**/*.test.ts', { cwd: ROOT }).toSorted()
const fast = files.filter((file) => isFast(`${ROOT}${file}`))
const slow = onlyFast ? [] : files.filter((file) => !fast.includes(file))
const rooms = writeRooms(ROOT, `${ROOMS}/${process.pid}`, roomsOf(slow))

function run(howMany: readonly string[], tests: readonly string[]): boolean {
  if (tests.length === 0) return true
  const { status } = spawnSync(
    process.execPath,
    ['--test', '--test-timeout=180000', ...howMany, ...options, ...tests],
    {
      cwd: ROOT,
      stdio: 'inherit',
      env: { NODE_COMPILE_CACHE: COMPILED, ...(runSources && { TEST_SOURCES: '1' }), ...process.env },
    },
  )
  return status === 0
}

function build(): boolean {
  return spawnSync(process.execPath, ['build/bundle.ts', '--if-needed'], { cwd: ROOT, stdio: 'inherit' }).status === 0
}

const threads = runSources ? [] : ['--import', './test/built-threads.ts']
const isBuilt = slow.length === 0 || runSources || build()
const passed = [isBuilt, run(['--test-isolation=none'], fast), run([...threads, '--test-concurrency=2'], rooms)]
process.exitCode = passed.every(Boolean) ? 0 : 1
rmSync(`${ROOMS}/${process.pid}`, { recursive: true })
