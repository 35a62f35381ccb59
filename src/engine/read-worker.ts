import { workerData } from 'node:worker_threads'
import { viewOf } from '../runtime/library.ts'
import { type ReadJob, helpReading } from './shared-read.ts'
import { type SyncReceiver, receiveSync } from './sync-channel.ts'

/** A second thread that reads weights. It ends when it is terminated. */
const receiver = workerData as SyncReceiver

for (;;) {
  for (const job of receiveSync<ReadJob>(receiver, true)) helpReading(job, ({ address, byteLength }) => viewOf(address, byteLength))
}
