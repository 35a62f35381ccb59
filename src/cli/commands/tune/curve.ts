import { appendFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeByRename } from '../../../checkpoint/files/write-by-rename.ts'
import { onDisk } from '../../../client/training/results/on-disk.ts'
import type { CurvePoint } from './curve-point.ts'
import { lossChart } from './loss-chart.ts'

const HEADER = 'step,loss,eval_loss,learning_rate,tokens_per_second'

/** A training's loss curve in its folder: as CSV, a line for each step as it is made, and drawn as SVG. */
export class Curve {
  readonly #folder: string
  readonly #title: string
  readonly #points: CurvePoint[]

  /** Goes on from a curve in the folder up to `step`; what is beyond is made again. */
  static async open(folder: string, title: string, step: number): Promise<Curve> {
    const text = await readFile(join(folder, 'loss.csv'), 'utf8').catch(() => '')
    const points = step === 0 ? [] : parse(text).filter((point) => point.step <= step)
    const curve = new Curve(folder, title, points)
    await onDisk(folder, () => writeByRename(curve.#csv, [HEADER, ...points.map(lineOf), ''].join('\n')))
    return curve
  }

  private constructor(folder: string, title: string, points: CurvePoint[]) {
    this.#folder = folder
    this.#title = title
    this.#points = points
  }

  /** Whether the curve has an evaluation already. */
  get isEvaluated(): boolean {
    return this.#points.some(({ evalLoss }) => evalLoss !== undefined)
  }

  /** Adds a point to the table on disk. */
  async add(point: CurvePoint): Promise<void> {
    this.#points.push(point)
    await onDisk(this.#folder, () => appendFile(this.#csv, `${lineOf(point)}\n`))
  }

  /** Draws it anew. */
  async draw(): Promise<void> {
    await onDisk(this.#folder, () =>
      writeByRename(join(this.#folder, 'loss.svg'), lossChart(this.#title, this.#points)),
    )
  }

  get #csv(): string {
    return join(this.#folder, 'loss.csv')
  }
}

function lineOf({ step, loss, evalLoss, learningRate, tokensPerSecond }: CurvePoint): string {
  return [step, loss, evalLoss, learningRate, tokensPerSecond?.toFixed(1)].map((value) => value ?? '').join(',')
}

function parse(text: string): CurvePoint[] {
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.split(',').map((value) => (value === '' ? undefined : Number(value))))
    .flatMap(([step, loss, evalLoss, learningRate, tokensPerSecond]) =>
      step === undefined || !Number.isInteger(step) ? [] : [{ step, loss, evalLoss, learningRate, tokensPerSecond }],
    )
}
