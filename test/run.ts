import { spawnSync } from 'node:child_process'
import { globSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isFast } from './fast.ts'
import { roomsOf, writeRooms } from './rooms.ts'

/**
 * Runs the tests: `npm test` all of them, `npm run test:fast` those without processes, threads and sockets, and
 * `npm test FILE...` some. Those of each room (`rooms.ts`) share a process, which loads what they import once; two at
 * a time, since they wait a lot. Processes and threads that they start run the build, which is made here where it is
 * not current, or with `--sources` the sources.
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
const fast = new Set(files.filter((file) => isFast(`${ROOT}${file}`)))
const chosen = onlyFast ? [...fast] : files
const runBuild = !runSources && chosen.some((file) => !fast.has(file))

function node(args: readonly string[]): boolean {
  const { status } = spawnSync(process.execPath, args, {
    cwd: ROOT,
    stdio: 'inherit',
    env: { NODE_COMPILE_CACHE: COMPILED, ...(runSources && { TEST_SOURCES: '1' }), ...process.env },
  })
  return status === 0
}

function test(): boolean {
  const threads = runBuild ? ['--import', './test/built-threads.ts'] : []
  const rooms = writeRooms(
    ROOT,
    `${ROOMS}/${process.pid}`,
    roomsOf(chosen, (file) => fast.has(file)),
  )
  const passed = node([...threads, '--test', '--test-timeout=180000', '--test-concurrency=2', ...options, ...rooms])
  rmSync(`${ROOMS}/${process.pid}`, { recursive: true })
  return passed
}

const isBuilt = !runBuild || node(['build/bundle.ts', '--if-needed'])
process.exitCode = (chosen.length === 0 || test()) && isBuilt ? 0 : 1
