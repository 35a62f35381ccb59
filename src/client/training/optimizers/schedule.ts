import { UsageError } from '../../../base/errors.ts'

/** How the learning rate falls after the warm-up: not at all, to zero in a line, or along half a cosine. */
export type ScheduleName = 'constant' | 'linear' | 'cosine'

export interface ScheduleOptions {
  readonly name: ScheduleName
  /** Steps in which the rate rises from zero. */
  readonly warmupSteps: number
  /** Steps of the whole training. */
  readonly steps: number
}

/** What is left of the rate when `done` of `all` steps after the warm-up are over. */
const SHAPES: Readonly<Record<ScheduleName, (done: number, all: number) => number>> = {
  constant: () => 1,
  linear: (done, all) => Math.max(0, (all - done) / Math.max(1, all)),
  cosine: (done, all) => (1 + Math.cos((Math.PI * done) / Math.max(1, all))) / 2,
}

/**
 * What the learning rate is multiplied with in step `step`, from 0, as transformers' schedules of these names give it:
 * during the warm-up step / warmupSteps, so that step 0 of one changes nothing.
 */
export function rateFactor({ name, warmupSteps, steps }: ScheduleOptions, step: number): number {
  if (step < warmupSteps) return step / warmupSteps
  return SHAPES[name](step - warmupSteps, steps - warmupSteps)
}

/** Throws `USAGE` for a schedule that cannot be. */
export function checkSchedule({ name, warmupSteps, steps }: ScheduleOptions): void {
  if (!Object.hasOwn(SHAPES, name))
    throw new UsageError(`schedule ${JSON.stringify(name)}: expected ${Object.keys(SHAPES).join(', ')}`)
  if (!Number.isSafeInteger(warmupSteps) || warmupSteps < 0 || warmupSteps > steps)
    throw new UsageError(`warmupSteps is ${warmupSteps}: expected an integer from 0 to the number of steps, ${steps}`)
}
