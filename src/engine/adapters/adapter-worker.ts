import { answerCalls } from '../../base/thread/answer-calls.ts'
import { type WriteCalls, writeAdapter } from './write-adapter.ts'

/** A thread for one adapter: reading and transposing takes too long for the one that answers. */
answerCalls<WriteCalls>(() => ({ write: writeAdapter }))
