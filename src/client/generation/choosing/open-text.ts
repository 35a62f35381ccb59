import type { ResolvedOptions } from '../../../sampling/options/options.ts'
import type { Sample } from '../../../sampling/sampler.ts'
import { TextState } from '../../../sampling/text-state.ts'
import { Workspace } from '../../../sampling/workspace.ts'
import { type TokenSource, headFor } from './token-source.ts'

/** An open text, whose tokens are chosen on the head's thread or here. */
export interface OpenText {
  /**
   * Feeds ids; resolves to a function that gives the next token. If the choice is made here, it is made only when this
   * function is called, so that the caller's own processors do not see tokens that nobody wants.
   */
  step(ids: readonly number[]): Promise<() => Sample>
  close(): void
}

/** Begins a text. `ids` are all tokens so far, of which the last ones still have to be fed to the source. */
export function openText(source: TokenSource, options: ResolvedOptions, ids: readonly number[]): OpenText {
  const beforeHead = headFor(source, options)
  if (beforeHead === undefined) {
    const text = new TextState(options, ids, new Workspace())
    return {
      async step(fed) {
        const logits = await source.next(fed, options.signal)
        return () => text.choose(logits)
      },
      close() {},
    }
  }
  const text = beforeHead.head.openText(options, ids)
  return {
    async step(fed) {
      const sample = await text.choose(await beforeHead.feed(fed, options.signal))
      return () => sample
    },
    close: () => text.close(),
  }
}
