import { answerCalls } from '../../base/thread/answer-calls.ts'
import { blockGraphs } from '../../families/graphs/graphs.ts'
import { blockSlices } from './block-slices.ts'
import { keptDigests } from './kept-digests.ts'
import { type DigestCalls, targetOf } from './load.ts'
import { yieldToOthers } from './thread-priority.ts'

/** The hashing thread: it reads the same files at about the same time as the loading thread does. */
answerCalls<DigestCalls>(() => ({
  digest(options) {
    yieldToOthers()
    const graphs = blockGraphs(options.checkpoint.config, targetOf(options), options.start, options.end)
    return keptDigests(blockSlices(options, graphs), options.quantCache)
  },
}))
