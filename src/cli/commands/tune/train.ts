import type { Dataset } from '../../../client/training/data/dataset.ts'
import type { TuneStep } from '../../../client/training/running.ts'
import type { Tuning } from '../../../client/training/tuning.ts'
import { leftText } from '../../terminal/bar-line.ts'
import { WorkLine } from '../../terminal/work-line.ts'
import { Curve } from './curve.ts'
import { type TrainingSummary, countParameters, describeBeginning, describeEnd } from './describe.ts'
import type { TuneValues } from './options.ts'

/** The files that a training is about. */
export interface TrainingPaths {
  readonly data: string
  readonly evalData: string | undefined
  readonly out: string
}

/** What a training is told besides. */
export interface TrainingContext {
  readonly values: TuneValues
  readonly paths: TrainingPaths
  readonly dataset: Dataset
  readonly evaluation: Dataset | undefined
  readonly signal: AbortSignal
}

/** Where the smoothed figures come from: the last step's share in them. */
const NEWEST = 0.2

/**
 * Makes all steps that are left, and saves and tells the result. A signal ends it behind the step under way, with a
 * checkpoint; rejects with its reason then.
 */
export async function train(tuning: Tuning, context: TrainingContext): Promise<void> {
  const { values, paths, dataset, evaluation, signal } = context
  const line = new WorkLine('tuning')
  const began = await tuning.step()
  const parameters = countParameters(await tuning.result())
  for (const note of describeBeginning(values, dataset, parameters, await tuning.seed())) line.note(note)
  if (began > 0) line.note(`going on behind step ${began} of ${values.steps}, from ${paths.out}/checkpoint`)
  const curve = await Curve.open(paths.out, `${values.method} on ${paths.data}`, began)
  let isStepping = false
  const stopping = (): void =>
    line.note(
      isStepping ? 'stopping behind this step; once more: at once, without the last steps' : 'stopping before a step',
    )
  signal.addEventListener('abort', stopping, { once: true })
  const figures = new Figures(values.steps)
  try {
    line.update({ share: began / values.steps, detail: evaluation === undefined ? '' : 'evaluating first' })
    if (evaluation !== undefined && !curve.isEvaluated && began === 0) {
      const evalLoss = await tuning.evaluate(evaluation, { signal })
      line.note(`before: held-out loss ${evalLoss.toFixed(4)}`)
      await curve.add({ step: 0, evalLoss })
    }
    signal.throwIfAborted()
    isStepping = true
    await makeSteps(tuning, { line, curve, figures, context })
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    signal.removeEventListener('abort', stopping)
    await curve.draw()
    line.stop()
  }
  if (signal.aborted) {
    line.note(`stopped at step ${await tuning.step()} of ${values.steps}; the same command goes on from there`)
    throw signal.reason
  }
  await tuning.save(paths.out)
  const result = await tuning.result()
  const best = await tuning.best()
  const summary: TrainingSummary = {
    steps: values.steps,
    ...figures.summary,
    ...(best !== undefined && { best }),
    parameters,
    out: paths.out,
  }
  if (values.json) process.stdout.write(`${JSON.stringify(summary, undefined, 2)}\n`)
  else
    process.stdout.write(
      describeEnd(values, result, summary)
        .map((each) => `${each}\n`)
        .join(''),
    )
}

async function makeSteps(
  tuning: Tuning,
  {
    line,
    curve,
    figures,
    context: { paths, signal },
  }: { line: WorkLine; curve: Curve; figures: Figures; context: TrainingContext },
): Promise<void> {
  for await (const step of tuning) {
    const { loss, learningRate, evaluation } = step
    figures.add(step)
    await curve.add({
      step: step.step,
      loss,
      evalLoss: evaluation?.loss,
      learningRate,
      tokensPerSecond: step.tokens / step.seconds,
    })
    line.update(figures.shown)
    if (evaluation !== undefined) {
      const best = evaluation.isBest ? ', the best so far' : ''
      line.note(`step ${step.step}: loss ${loss.toFixed(4)}, held-out loss ${evaluation.loss.toFixed(4)}${best}`)
      if (evaluation.isBest) await tuning.save(paths.out)
      await curve.draw()
      line.update(figures.shown)
    }
    if (signal.aborted) break
  }
}

/** What a bar and a summary say of the steps so far. */
class Figures {
  readonly #steps: number
  #last: TuneStep | undefined
  #loss: number | undefined
  #tokensPerSecond = 0
  #secondsPerStep = 0
  #began = performance.now()

  constructor(steps: number) {
    this.#steps = steps
  }

  add(step: TuneStep): void {
    const newest = this.#last === undefined ? 1 : NEWEST
    const smooth = (before: number, now: number): number => before + newest * (now - before)
    this.#last = step
    this.#loss = smooth(this.#loss ?? step.loss, step.loss)
    this.#tokensPerSecond = smooth(this.#tokensPerSecond, step.tokens / step.seconds)
    this.#secondsPerStep = smooth(this.#secondsPerStep, step.seconds)
  }

  get shown(): { share: number; detail: string } {
    const step = this.#last?.step ?? 0
    const left = leftText((this.#steps - step) * this.#secondsPerStep)
    return {
      share: step / this.#steps,
      detail:
        `step ${step} of ${this.#steps}, loss ${this.#loss?.toFixed(4)}, ` +
        `${Math.round(this.#tokensPerSecond)} tokens/s${left}`,
    }
  }

  get summary() {
    return {
      seconds: (performance.now() - this.#began) / 1000,
      ...(this.#loss !== undefined && { loss: this.#loss }),
    }
  }
}
