import type { BeamCandidate } from '../../sampling/beam-sampler.ts'
import type { ChosenBeams, ChosenText } from '../../sampling/choosing-head.ts'
import type { ResolvedOptions } from '../../sampling/options/options.ts'
import type { Sample } from '../../sampling/sampler.ts'
import { BeamsState, TextState } from '../../sampling/text-state.ts'
import { Workspace } from '../../sampling/workspace.ts'
import type { EndsThread } from './ends-thread.ts'

interface Head {
  readonly outputSize: number
  head(hidden: Float32Array): Promise<Float32Array>
}

/** A text whose tokens are chosen in the thread of the ends. */
export function textInThread(thread: EndsThread, options: ResolvedOptions, ids: readonly number[]): ChosenText {
  const textId = thread.openText('open-text', plain(options), ids)
  return {
    choose: async (hidden) => (await thread.request({ type: 'choose', textId, hidden })) as Sample,
    close: () => thread.closeText(textId),
  }
}

/** The same for a beam search. */
export function beamsInThread(thread: EndsThread, options: ResolvedOptions, ids: readonly number[]): ChosenBeams {
  const textId = thread.openText('open-beams', plain(options), ids)
  return {
    candidates: async (states, steps) =>
      (await thread.request({ type: 'candidates', textId, hidden: joined(states), steps })) as BeamCandidate[],
    close: () => thread.closeText(textId),
  }
}

/** A text of a model so small that its tokens are chosen on the caller's thread. */
export function textHere(ends: Head, options: ResolvedOptions, ids: readonly number[]): ChosenText {
  const text = new TextState(options, ids, new Workspace())
  return { choose: async (hidden) => text.choose(await ends.head(hidden)), close() {} }
}

/** The same for a beam search. */
export function beamsHere(ends: Head, options: ResolvedOptions, ids: readonly number[]): ChosenBeams {
  const beams = new BeamsState(options, ids, new Workspace())
  return {
    async candidates(states, steps) {
      const logits = await ends.head(joined(states))
      const rows = steps.map((_, i) => logits.subarray(i * ends.outputSize, (i + 1) * ends.outputSize))
      return beams.advance(rows, steps)
    },
    close() {},
  }
}

/** The options that another thread can have and needs. */
function plain(options: ResolvedOptions): ResolvedOptions {
  return { ...options, signal: undefined, stoppingCriteria: undefined, logitsProcessors: undefined }
}

function joined(states: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(states.reduce((length, state) => length + state.length, 0))
  let at = 0
  for (const state of states) {
    all.set(state, at)
    at += state.length
  }
  return all
}
