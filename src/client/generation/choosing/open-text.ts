import type { ResolvedOptions } from '../../../sampling/options/options.ts'
import type { Sample } from '../../../sampling/sampler.ts'
import { TextState } from '../../../sampling/text-state.ts'
import { Workspace } from '../../../sampling/workspace.ts'
import { type TokenSource, headFor } from './token-source.ts'

/** A text that goes on, wherever its tokens are chosen. */
export interface OpenText {
  /**
   * Feeds ids; resolves with what gives the token after them. Own functions among the options are only called then, so
   * that none is asked about a token that nobody wants.
   */
  step(ids: readonly number[]): Promise<() => Sample>
  close(): void
}

/** Begins a text behind `ids`, all tokens so far, of which the source still has to be fed the last ones. */
export function openText(source: TokenSource, options: ResolvedOptions, ids: readonly number[]): OpenText {
  const beforeHead = headFor(source, options)
  if (beforeHead === undefined) {
    const text = new TextState(options, ids, new Workspace())
    return {
      async step(fed) {
        const logits = await source.next(fed)
        return () => text.choose(logits)
      },
      close() {},
    }
  }
  const text = beforeHead.head.openText(options, ids)
  return {
    async step(fed) {
      const sample = await text.choose(await beforeHead.feed(fed))
      return () => sample
    },
    close: () => text.close(),
  }
}
