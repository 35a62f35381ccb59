import type { Work } from '../schedule/work.ts'
import type { DeviceRun } from './batch-runner.ts'

/** A run of a task that cannot be computed. */
export function failingRun(work: Work, error: unknown): DeviceRun {
  const execute = (): never => {
    throw error
  }
  return { works: [work], execute }
}
