import { Transferred, answerCalls } from '../../base/thread/answer-calls.ts'
import type { LoadCalls } from './load.ts'
import { loadBlocks } from './load-blocks.ts'
import { releaseSpan } from './release-span.ts'

/**
 * The loading thread. It lives on until its owner ends it: the runtime's library is unloaded with the last thread that
 * uses it.
 */
answerCalls<LoadCalls>(() => ({
  load(options, report) {
    const blocks = loadBlocks(options, report)
    return new Transferred(
      blocks,
      blocks.kept.map(({ data }) => data.buffer as ArrayBuffer),
    )
  },
  release: (span) => releaseSpan(span),
}))
