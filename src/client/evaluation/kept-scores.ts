import { rm } from 'node:fs/promises'
import { PetalsError } from '../../base/errors.ts'
import { isFile, isJsonObject, readJsonObject } from '../../checkpoint/files/json.ts'
import { writeByRename } from '../../checkpoint/files/write-by-rename.ts'
import type { Score } from './task.ts'

/** What decides on scores, by names that a user knows. */
export type EvaluationSettings = Readonly<Record<string, string | number>>

/** The time between two writes. */
const WRITE_MS = 2000

/**
 * Scores of an evaluation, in a file of its own while it goes on, so that one that was killed can go on: with numbers
 * that are the same to the last digit. Without a file they are only in memory.
 */
export class KeptScores {
  readonly #file: string | undefined
  readonly #settings: EvaluationSettings
  /** By the metric, in the order of its examples. */
  readonly #scores = new Map<string, (Score | null)[]>()
  #writing: Promise<void> | undefined
  #writtenAt = performance.now()

  /**
   * Takes what a file holds, if there is one. Throws `EVALUATION_STATE` for one that was made with other settings,
   * naming the first that differs, and `CHECKPOINT_...` for a damaged one.
   */
  static async open(file: string | undefined, settings: EvaluationSettings): Promise<KeptScores> {
    const kept = new KeptScores(file, settings)
    if (file === undefined || !(await isFile(file))) return kept
    const json = await readJsonObject(file)
    const before = isJsonObject(json['settings']) ? json['settings'] : {}
    for (const [name, value] of Object.entries(settings)) {
      if (before[name] === value) continue
      throw new PetalsError(
        'EVALUATION_STATE',
        `${file} holds an evaluation with ${name} ${JSON.stringify(before[name]) ?? 'none'}, and ` +
          `${JSON.stringify(value)} was asked for: give the same to go on, or remove the file`,
      )
    }
    for (const [metric, scores] of Object.entries(isJsonObject(json['scores']) ? json['scores'] : {}))
      if (Array.isArray(scores)) kept.#scores.set(metric, scores as (Score | null)[])
    return kept
  }

  private constructor(file: string | undefined, settings: EvaluationSettings) {
    this.#file = file
    this.#settings = settings
  }

  /** The scores of a metric's examples, null for those that are not there. */
  of(metric: string, count: number): (Score | null)[] {
    const known = this.#scores.get(metric)
    const scores = known?.length === count ? known : Array.from({ length: count }, () => null)
    this.#scores.set(metric, scores)
    return scores
  }

  /** Writes them now and then; call it after each change. */
  async changed(): Promise<void> {
    if (this.#writing === undefined && performance.now() - this.#writtenAt >= WRITE_MS) await this.write()
  }

  /** Writes them. */
  async write(): Promise<void> {
    if (this.#file === undefined) return
    await this.#writing
    const json = { settings: this.#settings, scores: Object.fromEntries(this.#scores) }
    this.#writing = writeByRename(this.#file, JSON.stringify(json)).finally(() => {
      this.#writing = undefined
      this.#writtenAt = performance.now()
    })
    await this.#writing
  }

  /** Removes the file: the evaluation is done. */
  async remove(): Promise<void> {
    await this.#writing
    if (this.#file !== undefined) await rm(this.#file, { force: true })
  }
}
