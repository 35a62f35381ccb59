import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { ReadyReport } from '../../src/cli/process/ready-file.ts'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))
export const LAUNCHER = join(ROOT, 'bin', 'petals-node')
export const SOURCES = join(ROOT, 'src', 'cli', 'main.ts')

/** What tests start as the program: the build if it is current, as users do, or sources (`npm test -- --sources`). */
export const MAIN = process.env['TEST_SOURCES'] === undefined ? LAUNCHER : SOURCES
export const LOOPBACK = ['--listen', '/ip4/127.0.0.1/tcp/0']

/** A command under way, and what it has written so far. */
export interface Running {
  readonly child: ChildProcess
  readonly out: { stdout: string; stderr: string }
  /** Its exit code, once all of its output has come. */
  readonly ended: Promise<number | null>
  /** In the environment of the process and of all that it starts. */
  readonly mark: string
}

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Starts a command line of the program; it is killed after the test if it is still there. */
export function start(t: TestContext, args: readonly string[], options: SpawnOptions = {}): Running {
  return startProgram(t, process.execPath, [MAIN, ...args], options)
}

export function startProgram(
  t: TestContext,
  program: string,
  args: readonly string[],
  options: SpawnOptions = {},
): Running {
  const mark = `TEST_OF_PETALS=${randomUUID()}`
  const [name, value] = mark.split('=') as [string, string]
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
    env: { ...process.env, ...options.env, [name]: value },
  })
  t.after(() => child.kill('SIGKILL'))
  const out = { stdout: '', stderr: '' }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out.stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    out.stderr += text
  })
  return { child, out, mark, ended: once(child, 'close').then(([code]) => code as number | null) }
}

/** Runs a command line to its end. */
export async function run(t: TestContext, ...args: string[]): Promise<Ended> {
  const { ended, out } = start(t, args)
  return { code: await ended, ...out }
}

export async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'petals-cli-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Polls until `read` gives something. */
export async function until<T>(
  what: string,
  read: () => Promise<T | undefined> | T | undefined,
  timeoutMs = 60_000,
): Promise<T> {
  const deadlineMs = Date.now() + timeoutMs
  for (let pauseMs = 10; ; pauseMs = Math.min(100, 1.3 * pauseMs)) {
    const value = await read()
    if (value !== undefined && value !== false) return value
    if (Date.now() > deadlineMs) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`)
    await sleep(pauseMs)
  }
}

export async function readJson<T>(file: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as T
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Starts a node, and waits until it is ready. */
export async function startReady(t: TestContext, args: readonly string[]): Promise<Running & { report: ReadyReport }> {
  const file = join(await tempFolder(t), 'ready.json')
  const running = start(t, [...args, '--ready-file', file])
  const report = await until(`${args[0]} is ready`, async () => {
    if (running.child.exitCode !== null) throw new Error(running.out.stderr)
    return readJson<ReadyReport>(file)
  })
  return { ...running, report }
}

/** Processes that have the mark in their environment (Linux only). */
export async function marked(mark: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const environments = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')))
  return pids.filter((_, i) => environments[i]!.split('\0').includes(mark)).map(Number)
}

/** The reference's continuation of the bundled model's first prompt. */
export async function goldenContinuation(): Promise<string> {
  const { greedy } = JSON.parse(await readFile(join(ROOT, 'models', 'demo-golden.json'), 'utf8')) as {
    greedy: { prompt: string; text: string }[]
  }
  const { prompt, text } = greedy[0]!
  return text.slice(prompt.length)
}
