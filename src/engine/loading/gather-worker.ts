import { answerCalls } from '../../base/thread/answer-calls.ts'
import { gatherInHugePages } from '../../runtime/huge-pages.ts'
import type { GatherCalls } from './page-gatherer.ts'
import { yieldToOthers } from './thread-priority.ts'

/** The gathering thread. */
answerCalls<GatherCalls>(() => ({
  gather() {
    yieldToOthers()
    return gatherInHugePages()
  },
}))
