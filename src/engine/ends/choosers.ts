import { postSync } from '../../base/thread/sync-channel.ts'
import { type Answers, answerRows } from './answer-rows.ts'
import { type ChooserLink, LOST } from './chooser-link.ts'
import type { HeadRows, RowTask, TextCommand } from './messages.ts'
import { RowSampler } from './row-sampler.ts'

/** A thread that chooses beside this one, and how many messages with rows it was sent. */
interface Chooser extends ChooserLink {
  numSent: number
}

/** Other threads that read the rows of a run, until each has answered so many messages. */
export type Readers = readonly { readonly chooser: ChooserLink; readonly upTo: number }[]

/** Waits until all of them have done with the rows. */
export function waitFor(readers: Readers): void {
  for (const { chooser, upTo } of readers) {
    const counter = new Int32Array(chooser.answered)
    for (let count = Atomics.load(counter, 0); count < upTo && count !== LOST; count = Atomics.load(counter, 0))
      Atomics.wait(counter, 0, count)
  }
}

/**
 * All that choose tokens, seen from the thread of the ends: itself, and the threads beside it. A text's tokens are
 * chosen where it was opened, so what belongs to it never changes threads; logits lie in memory that all of them read.
 */
export class Choosers {
  readonly #own = new RowSampler()
  readonly #others: Chooser[] = []
  /** Texts of other threads. */
  readonly #places = new Map<number, Chooser>()
  #vocabulary: Extract<TextCommand, { type: 'vocabulary' }> | undefined

  /** A thread more; texts name it by its number, from 1 on. */
  add(link: ChooserLink): void {
    const chooser = { ...link, numSent: 0 }
    this.#others.push(chooser)
    if (this.#vocabulary !== undefined) postSync(chooser.sender, { ...this.#vocabulary, isEarly: false })
  }

  /** Hands on what belongs to a text to where its tokens are chosen. */
  obey(command: TextCommand): void {
    if (command.type === 'vocabulary') {
      this.#vocabulary = command
      for (const { sender } of this.#others) postSync(sender, command)
      return this.#own.obey(command)
    }
    if (command.type !== 'close-text' && command.chooser > 0)
      this.#places.set(command.textId, this.#others[command.chooser - 1]!)
    const chooser = this.#places.get(command.textId)
    if (command.type === 'close-text') this.#places.delete(command.textId)
    if (chooser === undefined) this.#own.obey(command)
    else postSync(chooser.sender, command)
  }

  /** Prepares a text's next token in this thread; false if there is nothing to prepare. */
  prepareOne(): boolean {
    return this.#own.prepareOne()
  }

  /** Has each of `tasks` answered from its rows; returns who still reads them. */
  answer(tasks: readonly RowTask[], rows: HeadRows, answers: Answers): Readers {
    const own: RowTask[] = []
    const others = new Map<Chooser, RowTask[]>()
    for (const task of tasks) {
      const chooser = task.command.type === 'head' ? undefined : this.#places.get(task.command.textId)
      if (chooser === undefined) own.push(task)
      else if (!others.get(chooser)?.push(task)) others.set(chooser, [task])
    }
    for (const [chooser, theirs] of others) {
      chooser.numSent += 1
      postSync(chooser.sender, { type: 'rows', ...rows, tasks: theirs })
    }
    const readers = [...others.keys()].map((chooser) => ({ chooser, upTo: chooser.numSent }))
    answerRows(this.#own, own, rows, answers)
    return readers
  }
}
