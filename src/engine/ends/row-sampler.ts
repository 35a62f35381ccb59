import { Grammars } from '../../sampling/grammar/grammars.ts'
import { warmUp } from '../../sampling/grammar/warm-up.ts'
import type { Sample } from '../../sampling/sampler.ts'
import { BeamsState, TextState } from '../../sampling/text-state.ts'
import { Workspace } from '../../sampling/workspace.ts'
import type { EndsResult, RowCommand, TextCommand } from './messages.ts'

/** What the head's rows become in a thread that chooses: tokens of the texts that are open there. */
export class RowSampler {
  readonly #workspace = new Workspace()
  readonly #texts = new Map<number, TextState>()
  readonly #beams = new Map<number, BeamsState>()
  /** Texts for whose next tokens nothing has been prepared. */
  readonly #unprepared = new Set<TextState>()

  /**
   * Opens and closes texts. The vocabulary, which constraints need, comes before the first text that has one, and early
   * if there is time to prepare for it.
   */
  obey(command: TextCommand): void {
    switch (command.type) {
      case 'open-text':
        this.#open(command.textId, new TextState(command.options, command.ids, this.#workspace))
        break
      case 'open-beams':
        this.#beams.set(command.textId, new BeamsState(command.options, command.ids, this.#workspace))
        break
      case 'vocabulary':
        if (this.#workspace.grammars !== undefined) return
        this.#workspace.grammars = new Grammars(command.vocabulary)
        if (command.isEarly) warmUp(this.#workspace.grammars)
        break
      case 'close-text':
        this.#unprepared.delete(this.#texts.get(command.textId)!)
        this.#texts.delete(command.textId)
        this.#beams.delete(command.textId)
    }
  }

  #open(textId: number, text: TextState): void {
    this.#texts.set(textId, text)
    if (text.hasConstraint) this.#unprepared.add(text)
  }

  /**
   * Finds which tokens a text's constraint lets through next, while servers compute what they are chosen from: the
   * prompt at first, then a step. False if that is known of all texts.
   */
  prepareOne(): boolean {
    for (const text of this.#unprepared) {
      this.#unprepared.delete(text)
      text.prepare()
      return true
    }
    return false
  }

  /** The answer to a command, from its rows [rows, outputSize], which are only valid now. Throws as `Sampler`. */
  answer(command: RowCommand, rows: Float32Array, outputSize: number): EndsResult {
    if (command.type === 'head') return rows.slice()
    if (command.type === 'choose') return this.#choose(this.#texts.get(command.textId)!, rows)
    const { steps, textId } = command
    const logits = steps.map((_, i) => rows.subarray(i * outputSize, (i + 1) * outputSize))
    return this.#beams.get(textId)!.advance(logits, steps)
  }

  #choose(text: TextState, logits: Float32Array): Sample {
    this.#unprepared.delete(text)
    const sample = text.choose(logits)
    if (text.hasConstraint) this.#unprepared.add(text)
    return sample
  }
}
