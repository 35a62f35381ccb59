import { execFile } from 'node:child_process'
import type { VerifyRow } from '../../src/client/verification/rows.ts'
import { MAIN } from './kit.ts'

export const fixture = (name: string): string => new URL(`../fixtures/${name}`, import.meta.url).pathname

/** Runs the command with `--json`; gives its rows, and what it says on stderr. */
export function verify(...args: string[]): Promise<{ code: number; rows: VerifyRow[]; stderr: string }> {
  const { promise, resolve } = Promise.withResolvers<{ code: number; rows: VerifyRow[]; stderr: string }>()
  execFile(process.execPath, [MAIN, 'verify', '--json', ...args], { maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
    resolve({ code: Number(error?.code ?? 0), rows: stdout === '' ? [] : (JSON.parse(stdout) as VerifyRow[]), stderr })
  })
  return promise
}
