import { Grammars } from '../../sampling/grammar/grammars.ts'
import { warmUp } from '../../sampling/grammar/warm-up.ts'
import type { Vocabulary } from '../../sampling/grammar/tokens/vocabulary.ts'
import type { ResolvedOptions } from '../../sampling/options/options.ts'
import { BeamsState, TextState } from '../../sampling/text-state.ts'
import { Workspace } from '../../sampling/workspace.ts'
import type { EndsResult, HeadCommand } from './messages.ts'

/** What the head's rows become in the thread of the ends: tokens of the texts that are open there. */
export class RowSampler {
  readonly #workspace = new Workspace()
  readonly #texts = new Map<number, TextState>()
  readonly #beams = new Map<number, BeamsState>()

  /**
   * The tokens' bytes, which constraints need; told before the first text that has one. `isEarly` if there is time to
   * prepare for it.
   */
  useVocabulary(vocabulary: Vocabulary, isEarly: boolean): void {
    if (this.#workspace.grammars !== undefined) return
    this.#workspace.grammars = new Grammars(vocabulary)
    if (isEarly) warmUp(this.#workspace.grammars)
  }

  openText(textId: number, options: ResolvedOptions, ids: readonly number[]): void {
    this.#texts.set(textId, new TextState(options, ids, this.#workspace))
  }

  openBeams(textId: number, options: ResolvedOptions, ids: readonly number[]): void {
    this.#beams.set(textId, new BeamsState(options, ids, this.#workspace))
  }

  close(textId: number): void {
    this.#texts.delete(textId)
    this.#beams.delete(textId)
  }

  /** The answer to a command, from its rows [rows, outputSize], which are only valid now. Throws as `Sampler`. */
  answer(command: HeadCommand, rows: Float32Array, outputSize: number): EndsResult {
    if (command.type === 'head') return rows.slice()
    if (command.type === 'choose') return this.#texts.get(command.textId)!.choose(rows)
    const { steps, textId } = command
    const logits = steps.map((_, i) => rows.subarray(i * outputSize, (i + 1) * outputSize))
    return this.#beams.get(textId)!.candidates(logits, steps)
  }
}
