import { parentPort, workerData } from 'node:worker_threads'
import { type SyncReceiver, receiveOrSpare } from '../../base/thread/sync-channel.ts'
import { answerRows } from './answer-rows.ts'
import { EventBatch } from './event-batch.ts'
import type { ChooserCommand } from './messages.ts'
import { RowSampler } from './row-sampler.ts'

/** A thread that chooses tokens out of logits that the thread of the ends has computed. */
const { receiver, answered } = workerData as { receiver: SyncReceiver; answered: SharedArrayBuffer }
const sampler = new RowSampler()
const numAnswered = new Int32Array(answered)

const answers = new EventBatch((events) => parentPort!.postMessage(events, []))

for (;;) {
  for (const command of receiveOrSpare<ChooserCommand>(receiver, () => sampler.prepareOne())) {
    if (command.type !== 'rows') {
      sampler.obey(command)
      continue
    }
    answerRows(sampler, command.tasks, command, answers)
    answers.flush()
    Atomics.add(numAnswered, 0, 1)
    Atomics.notify(numAnswered, 0)
  }
}
